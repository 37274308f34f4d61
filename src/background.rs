//! Work that gives way to requests.

/// Nice value of such work: beside a thread of the usual 0 it gets a tenth of a contended processor (weight 110 to 1024,
/// `sched(7)`), and all of an idle one. At 19 it would get a seventieth, and a reload beside full load take a minute.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets the calling thread, and threads it starts from now on, give way to the process's others until it ends: only a
/// privileged process could take it back. What the system refuses is logged, and the thread goes on as before.
#[cfg(target_os = "linux")]
pub fn this_thread() {
    // On Linux the priority is a thread's own, against POSIX (setpriority(2), "C library/kernel differences").
    let nicest = rustix::process::getpriority_process(None)
        .unwrap_or(NICE)
        .max(NICE);
    if let Err(error) = rustix::process::setpriority_process(None, nicest) {
        tracing::debug!(%error, "the priority stays as it is");
    }
}

/// Elsewhere the priority would be the whole process's.
#[cfg(not(target_os = "linux"))]
pub fn this_thread() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_gives_way() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let inside = std::thread::spawn(move || {
            this_thread();
            [nice(), std::thread::spawn(nice).join().unwrap()]
        });
        assert_eq!(inside.join().unwrap(), [NICE.max(before); 2]);
        assert_eq!(nice(), before, "who started it does not");
    }
}
