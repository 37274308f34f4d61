//! Calls into the C library.

#![allow(unsafe_code)]

/// Makes glibc keep freed memory from step to step of a training run: zeroing fresh pages took 5 % of it. The process then
/// holds what its largest step needed (about 0.5 GB) until it ends.
pub(crate) fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: these calls only set parameters of the allocator; glibc allows them at any time, from any thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TOP_PAD, 256 << 20);
    }
}
