//! The memory of the container: the cgroup's limit.

use std::{fs, path::Path};

/// What the server takes besides bodies and decoders: libtorch, the model, its workers.
pub(super) const SERVER: u64 = 208 << 20;
/// The memory that a light decoder may use for an image, besides its file.
pub(crate) const LIGHT_MEMORY: u64 = 24 << 20;
/// What a light decoder takes at most: that, and 16 MiB for its file and the rest of its process.
pub(super) const LIGHT_DECODER: u64 = LIGHT_MEMORY + (16 << 20);

/// Bytes of memory that the cgroup of this process grants; `None` without a limit.
pub(super) fn memory() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    of(&own, Path::new("/sys/fs/cgroup"))
}

/// The least limit of a process's cgroups: `own` is its `/proc/PID/cgroup`. Version 2 has limits in all folders up to the
/// root; version 1 puts the container's limit at the root of its own view.
fn of(own: &str, root: &Path) -> Option<u64> {
    let group = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let version2 = group.map(|group| root.join(group)).unwrap_or_default();
    let files = version2
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .map(|folder| folder.join("memory.max"))
        .chain([root.join("memory/memory.limit_in_bytes")]);
    let limits = files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    // Version 1 says "no limit" as a huge number.
    limits.filter(|limit| *limit < 1 << 50).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_all_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(of("0::/a/b\n", root), None);
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/memory.max"), "max\n").unwrap();
        assert_eq!(of("0::/a/b\n", root), None);
        fs::write(root.join("a/memory.max"), "1000\n").unwrap();
        fs::write(root.join("memory.max"), "5000\n").unwrap();
        assert_eq!(of("0::/a/b\n", root), Some(1000));
        assert_eq!(of("0::/\n", root), Some(5000));
    }

    #[test]
    fn version_1_has_one_file() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("memory");
        fs::create_dir(&folder).unwrap();
        for (text, limit) in [
            ("536870912\n", Some(536_870_912)),
            ("9223372036854771712\n", None),
        ] {
            fs::write(folder.join("memory.limit_in_bytes"), text).unwrap();
            assert_eq!(of("5:memory:/docker/x\n", root.path()), limit);
        }
    }
}
