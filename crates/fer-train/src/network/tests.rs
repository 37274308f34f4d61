use fer_engine::network::Layer;

use super::*;
use crate::recipe::Dropout;
use fer_engine::network::Folded;

/// Weights and biases of the layer itself, and its batch norm's scale, shift, running mean and running variance.
fn parameters(layer: &Layer) -> (usize, usize) {
    let own = layer.weight_shape().iter().product::<usize>() + layer.outputs;
    (own, if layer.batch_norm { 4 * layer.outputs } else { 0 })
}

#[test]
fn the_table_row_by_row() {
    // (name, parameters, batch norm), as the table is published.
    let table = [
        ("conv1", 640, 256),
        ("conv2", 204_928, 512),
        ("conv3", 590_336, 2_048),
        ("conv4", 2_359_808, 2_048),
        ("dense1", 524_544, 1_024),
        ("dense2", 131_584, 2_048),
        ("output", 3_591, 0),
    ];
    for (layer, (name, parameters, norm)) in LAYERS.iter().zip(table) {
        assert_eq!((layer.name, self::parameters(layer)), (name, (parameters, norm)));
    }
}

#[test]
fn the_totals_of_the_real_tensors() {
    let net = Network::new(Device::Cpu).unwrap();
    let count = |all: &[Named]| all.iter().map(|n| n.tensor.numel()).sum::<usize>();
    assert_eq!(count(net.parameters()), 3_819_399);
    assert_eq!(count(&net.buffers), 3_968);
    assert_eq!(net.tensors().map(|n| n.tensor.numel()).sum::<usize>(), 3_823_367);
    let of_layer = |name: &str, norm: bool| {
        net.tensors()
            .filter(|n| n.name.split('.').next() == Some(name) && n.name.contains(".bn.") == norm)
            .map(|n| n.tensor.numel())
            .sum::<usize>()
    };
    for layer in &LAYERS {
        let tensors = (of_layer(layer.name, false), of_layer(layer.name, true));
        assert_eq!(tensors, parameters(layer), "{}", layer.name);
    }
}

#[test]
fn sizes_after_every_layer() {
    // 48 → 24 → 12 → 6 → (valid) 4 → 2, as in the table; 2·2·512 features reach the dense layers.
    let mut side = SIDE;
    for layer in &LAYERS {
        if let Kernel::Conv { size, padding } = layer.kernel {
            side = (side + 2 * padding + 1 - size) / 2;
        }
    }
    assert_eq!(side * side * LAYERS[3].outputs, LAYERS[4].inputs);
    let net = Network::new(Device::Cpu).unwrap();
    let x = to_batch(&vec![0.1; 3 * SIDE * SIDE], Device::Cpu).unwrap();
    assert_eq!(net.forward(&x, Kind::Float).unwrap().size(), [3, 7]);
}

#[test]
fn every_parameter_gets_a_gradient() {
    tch::manual_seed(1);
    let net = Network::new(Device::Cpu).unwrap();
    let pixels: Vec<f32> = (0..8 * SIDE * SIDE)
        .map(|i| ((i * 7919) % 255) as f32 / 255.0 - 0.5)
        .collect();
    let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5, 6, 0]);
    let pass = net
        .forward_training(pixels, Kind::Float, &Dropout([0.0; 6]))
        .unwrap();
    pass.backward(&pass.logits.cross_entropy_for_logits(&labels))
        .unwrap();
    for p in net.parameters() {
        // A bias in front of batch norm has none: it would be zero up to rounding.
        let idle = p.name.ends_with(".bias") && !p.name.contains(".bn.") && p.name != "output.bias";
        assert_eq!(p.tensor.grad().defined(), !idle, "{}", p.name);
        assert!(
            idle || p.tensor.grad().abs().max().double_value(&[]) > 0.0,
            "{}",
            p.name
        );
    }
}

#[test]
fn negative_scales_are_turned_without_changing_the_network() {
    tch::manual_seed(5);
    let net = Network::new(Device::Cpu).unwrap();
    let _no_grad = tch::no_grad_guard();
    // Batch norm before the pooling, as others train it: the reference.
    let reference = |x: &Tensor| {
        let (w, b) = net.weight_and_bias(0, Kind::Float).unwrap();
        let norm = net.slots[0].norm.unwrap();
        x.conv2d(&w, Some(&b), [1, 1], [1, 1], [1, 1], 1)
            .batch_norm(
                Some(&net.parameters[norm.scale].tensor),
                Some(&net.parameters[norm.scale + 1].tensor),
                Some(&net.buffers[norm.mean].tensor),
                Some(&net.buffers[norm.mean + 1].tensor),
                false,
                0.1,
                BATCH_NORM_EPSILON,
                true,
            )
            .max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
            .relu()
    };
    let norm = net.slots[0].norm.unwrap();
    for t in [&net.parameters[norm.scale].tensor, &net.buffers[norm.mean].tensor] {
        // Away from 0: a scale that is hardly any is made the smallest there may be, which does change the network.
        let drawn = Tensor::randn([64], (Kind::Float, Device::Cpu));
        t.shallow_clone().copy_(&(drawn.sign() * (drawn.abs() + 0.1)));
    }
    let pixels: Vec<f32> = (0..2 * SIDE * SIDE)
        .map(|i| ((i * 7919) % 255) as f32 / 255.0)
        .collect();
    let x = to_batch(&pixels, Device::Cpu).unwrap();
    let before = reference(&x);
    net.turn_scales_positive().unwrap();
    assert!(net.parameters[norm.scale].tensor.min().double_value(&[]) > 0.0);
    assert!((reference(&x) - before).abs().max().double_value(&[]) < 1e-3);
}

/// Folding as libtorch computes it, `γ(Wx + b − µ)/√(σ² + ε) + β` in double precision.
fn reference(network: &Network) -> Vec<[Tensor; 2]> {
    let _no_grad = tch::no_grad_guard();
    let get = |name: String| {
        let named = network.tensors().find(|n| n.name == name).unwrap();
        named.tensor.to_kind(Kind::Double)
    };
    LAYERS
        .iter()
        .map(|layer| {
            let get = |what: &str| get(format!("{}.{what}", layer.name));
            let (mut weight, mut bias) = (get("weight"), get("bias"));
            if layer.batch_norm {
                let factor = get("bn.weight") / (get("bn.running_var") + BATCH_NORM_EPSILON).sqrt();
                bias = (bias - get("bn.running_mean")) * &factor + get("bn.bias");
                let mut rows = vec![1; weight.dim()];
                rows[0] = -1;
                weight *= factor.view(rows.as_slice());
            }
            [weight, bias].map(|t| t.to_kind(Kind::Float).contiguous().view([-1]))
        })
        .collect()
}

#[test]
fn folding_gives_the_bits_that_libtorch_gives() {
    tch::manual_seed(5);
    let network = Network::new(Device::Cpu).unwrap();
    {
        let _no_grad = tch::no_grad_guard();
        for named in network
            .tensors()
            .filter(|n| n.name.contains(".bn.") || n.name.ends_with("bias"))
        {
            let _ = named.tensor.shallow_clone().uniform_(0.1, 2.0);
        }
    }
    for (layer, [weight, bias]) in network.weights().unwrap().iter().zip(reference(&network)) {
        let folded = Folded::from(layer);
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let values = |t: &Tensor| Vec::<f32>::try_from(t).unwrap();
        assert_eq!(bits(&folded.weight), bits(&values(&weight)));
        assert_eq!(bits(&folded.bias), bits(&values(&bias)));
    }
}
