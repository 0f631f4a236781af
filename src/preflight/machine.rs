//! Is the machine as large as the call wants it? (Quintana Roo III.c, Durango II.a)

use std::path::Path;

use super::Scene;
use super::answer::{Answer, Topic, Verdict};
use crate::durable::Dir;

/// What firmware and kernel keep for themselves of a nominal gigabyte, in hundredths.
const NOMINAL: u64 = 90;

/// Processors, memory and disk.
pub(super) fn hardware(scene: &Scene<'_>, answers: &mut Vec<Answer>) {
    let call = &scene.call;
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = memory(&scene.asked.root);
    let disk = Dir::open(&scene.config.paths.var).and_then(|dir| dir.space()).ok().map(|s| s.total_bytes);
    let gb = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |b| (b / 1_000_000_000).to_string());
    let (memory_gb, disk_gb) = (gb(memory), gb(disk));
    let (es, en) = (
        format!("{processors} procesadores, {memory_gb} GB de memoria, disco de {disk_gb} GB"),
        format!("{processors} processors, {memory_gb} GB of memory, a disk of {disk_gb} GB"),
    );
    let asked = format!("{} · {} GB · {} GB", call.processors, call.memory_gb, call.disk_gb);
    let short =
        |have: Option<u64>, want_gb: u64| have.is_some_and(|have| have < want_gb * 10_000_000 * NOMINAL);
    let small = processors < call.processors || short(memory, call.memory_gb) || short(disk, call.disk_gb);
    answers.push(if small {
        Answer::of(
            Topic::Hardware,
            Verdict::Attention,
            format!("{es}: menos de lo que pide la convocatoria ({asked})"),
            format!("{en}: less than the call asks for ({asked})"),
        )
        .todo(
            "difusor cabe en menos, pero la convocatoria lo pide: amplíe el equipo",
            "difusor fits into less, but the call asks for it: enlarge the machine",
        )
    } else if memory.is_none() || disk.is_none() {
        Answer::of(Topic::Hardware, Verdict::Unknown, es, en)
    } else {
        Answer::good(Topic::Hardware, es, en)
    });
}

/// Bytes of memory: of the machine, or of the container's limit (cgroup v2) where that is less.
fn memory(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? << 10;
    let limit = std::fs::read_to_string(root.join("sys/fs/cgroup/memory.max")).ok();
    Some(limit.and_then(|l| l.trim().parse().ok()).map_or(machine, |l: u64| machine.min(l)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_machines_or_what_the_container_may_use() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(memory(root.path()), None);
        std::fs::create_dir_all(root.path().join("proc")).unwrap();
        std::fs::create_dir_all(root.path().join("sys/fs/cgroup")).unwrap();
        std::fs::write(root.path().join("proc/meminfo"), "MemTotal:        8000000 kB\nMemFree: 1 kB\n")
            .unwrap();
        assert_eq!(memory(root.path()), Some(8_192_000_000));
        std::fs::write(root.path().join("sys/fs/cgroup/memory.max"), "max\n").unwrap();
        assert_eq!(memory(root.path()), Some(8_192_000_000));
        std::fs::write(root.path().join("sys/fs/cgroup/memory.max"), "1073741824\n").unwrap();
        assert_eq!(memory(root.path()), Some(1 << 30));
    }
}
