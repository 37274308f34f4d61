//! `fer-serve predict FILE…` and `fer-serve healthcheck`.

use serde_json::{Value, json};

use super::{output, stderr, stdout};
use crate::support::{
    Server,
    model::{self, Late},
    pictures::{self, Format, Layout},
};

#[tokio::test]
async fn predict_gives_the_servers_answers() {
    let model = model::tiny();
    let folder = model.path().to_str().unwrap();
    let server = Server::start(model.path(), &[]).await;
    let gray = pictures::face(90, 120, 0.8);
    let files = [
        ("one.png", pictures::face_png(-0.5)),
        (
            "no extension",
            pictures::encode(Format::Jpeg, Layout::Rgb, 90, 120, &gray),
        ),
        (
            "wrong.gif",
            pictures::encode(Format::WebP, Layout::Rgba, 90, 120, &gray),
        ),
    ];
    for (name, bytes) in files {
        let path = model.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let output = output(&["predict", "--model", folder, path.to_str().unwrap()], &[]).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let answer = server.predict("application/octet-stream", bytes).await;
        answer.ok();
        assert_eq!(stdout(&output), format!("{}\n", answer.text()), "{name}");
    }
}

#[tokio::test]
async fn predict_answers_each_file_in_its_line_and_fails_if_one_failed() {
    let model = model::tiny();
    let good = model.path().join("good.png");
    std::fs::write(&good, pictures::face_png(0.5)).unwrap();
    let broken = model.path().join("broken.png");
    std::fs::write(&broken, &pictures::face_png(0.5)[..200]).unwrap();
    let missing = model.path().join("missing.png");
    let [good, broken, missing] = [&good, &broken, &missing].map(|p| p.to_str().unwrap());
    let output = output(
        &["predict", good, broken, missing, good],
        &[("FER_MODEL", model.path().to_str().unwrap())],
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["model"], json!({"name": "tiny", "version": "7"}));
    // libtorch chooses among its loops by where in memory a tensor happens to lie, too: last digits may differ.
    assert_eq!(lines[0]["emotion"], lines[3]["emotion"]);
    for (label, p) in lines[0]["probabilities"].as_object().unwrap() {
        let other = lines[3]["probabilities"][label].as_f64().unwrap();
        assert!(
            (p.as_f64().unwrap() - other).abs() < 1e-6,
            "{}\n{}",
            lines[0],
            lines[3]
        );
    }
    assert_eq!(
        (&lines[1]["error"]["code"], &lines[1]["error"]["status"]),
        (&json!("broken_image"), &json!(422))
    );
    assert!(lines[2]["error"]["code"].is_string(), "{}", lines[2]);
    let complaints = stderr(&output);
    assert!(
        complaints.contains(broken) && complaints.contains(missing),
        "{complaints}"
    );
}

#[tokio::test]
async fn predict_refuses_to_start_without_files_or_model() {
    let none = output(&["predict"], &[]).await;
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("<FILE>"), "{}", stderr(&none));
    let nowhere = output(&["predict", "--model", "/no/such/folder", "x.png"], &[]).await;
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(
        stderr(&nowhere).contains("/no/such/folder"),
        "{}",
        stderr(&nowhere)
    );
}

#[tokio::test]
async fn healthcheck_tells_by_its_exit_code() {
    let (late, server) = Late::start(&[]).await;
    let url = format!("http://{}", server.address);
    let not_ready = output(&["healthcheck", &url], &[]).await;
    assert_eq!(not_ready.status.code(), Some(1));
    assert!(stderr(&not_ready).contains("503"), "{}", stderr(&not_ready));
    let alive = output(&["healthcheck", &format!("{url}/livez")], &[]).await;
    assert_eq!(alive.status.code(), Some(0));

    let _folder = late.arrive();
    server.until("/readyz", |a| a.status == 200).await;
    let ready = output(&["healthcheck", &url], &[]).await;
    assert_eq!((ready.status.code(), stderr(&ready)), (Some(0), ""));
    // Without an address it asks the server of its own machine at the port that FER_LISTEN names.
    let listen = format!("0.0.0.0:{}", server.address.port());
    let own = output(&["healthcheck"], &[("FER_LISTEN", &listen)]).await;
    assert_eq!(own.status.code(), Some(0), "{}", stderr(&own));

    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = output(&["healthcheck", &format!("http://{free}")], &[]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains(&free.to_string()), "{}", stderr(&nobody));
    let nonsense = output(&["healthcheck", "readyz"], &[]).await;
    assert_eq!(nonsense.status.code(), Some(1));
    assert!(stderr(&nonsense).contains("http://"), "{}", stderr(&nonsense));
}
