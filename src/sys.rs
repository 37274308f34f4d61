//! Calls into the operating system and the C library: thread priority, freed memory, the end of the process.

#![allow(unsafe_code)]

/// Nice value of work that gives way to requests. Next to a thread of nice 0 it gets a tenth of a contended processor
/// (weights 110 and 1024, `sched(7)`), and all of an idle one. At 19 it would get a seventieth, and a reload under full load
/// would take a minute.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lowers the priority of the calling thread and of the threads it starts later. Only a privileged process could raise it
/// again. If the system refuses, that is logged and the priority stays.
#[cfg(target_os = "linux")]
pub(crate) fn lower_priority() {
    // On Linux the priority belongs to the thread, unlike in POSIX (setpriority(2), "C library/kernel differences").
    let nice = rustix::process::getpriority_process(None)
        .unwrap_or(NICE)
        .max(NICE);
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::debug!(%error, "the priority stays as it is");
    }
}

/// Does nothing: outside Linux the priority would be the whole process's.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lower_priority() {}

/// Returns freed memory to the system. glibc keeps what a thread has freed for that thread, and loading a model frees
/// hundreds of megabytes on threads that end: after twenty reloads 340 MB were resident, and 206 MB after this call.
pub(crate) fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: glibc allows this call at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Ends the process without the destructors of its libraries. A load may still run inside libtorch; running libtorch's static
/// destructors then crashed about 1 in 20 shutdowns.
pub(crate) fn exit_now(code: u8) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(code.into()) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_gives_way() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let inside = std::thread::spawn(move || {
            lower_priority();
            [nice(), std::thread::spawn(nice).join().unwrap()]
        });
        assert_eq!(inside.join().unwrap(), [NICE.max(before); 2]);
        assert_eq!(nice(), before, "the thread that started it keeps its priority");
    }
}
