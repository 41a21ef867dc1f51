//! The images of other processes, kept open and then asked whether they could be written.

use crate::attempt::beside_the_sentinel;
use rustix::fs::{Mode, OFlags, fcntl_get_seals, fstat, fstatfs};
use rustix::io::Errno;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;

/// A file of its own that is kept and asked about like the others: the control.
const CONTROL: &str = "/tmp/control";

/// Keeps each program that another process executes, by the first that is seen with its device and inode, until the file
/// `stop` is there; then prints which could be opened for writing, without writing.
pub fn keep(stop: &Path) -> ExitCode {
    if !beside_the_sentinel() {
        eprintln!("probe: acts only in a container of the suite");
        return ExitCode::from(2);
    }
    let mut kept: BTreeMap<(u64, u64), (String, File)> = BTreeMap::new();
    let mut names: Vec<String> = Vec::new();
    if std::fs::write(CONTROL, "control\n").is_ok() {
        take(CONTROL, &mut kept);
    }
    println!("ready");
    while !stop.exists() {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.parse::<u32>().is_ok_and(|pid| pid != std::process::id()) {
                take(&format!("/proc/{name}/exe"), &mut kept);
                let comm = crate::look::text(&format!("/proc/{name}/comm"));
                if !names.contains(&comm) {
                    names.push(comm);
                }
            }
        }
    }
    let found: Vec<Value> = kept.iter().map(|(id, (link, file))| tell(*id, link, file)).collect();
    println!("{}", json!({"kept": found, "names": names}));
    ExitCode::SUCCESS
}

fn take(path: &str, kept: &mut BTreeMap<(u64, u64), (String, File)>) {
    // Opened first: the link and the file may be of two programs, the descriptor is of one.
    let Ok(file) = File::open(path) else { return };
    let Ok(data) = fstat(&file) else { return };
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
    kept.entry((data.st_dev, data.st_ino)).or_insert_with(|| (link.to_string_lossy().into_owned(), file));
}

/// Whether it can be opened for writing once no process executes it any more, which is waited for.
fn tell((device, inode): (u64, u64), link: &str, file: &File) -> Value {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut result = Err(Errno::TXTBSY);
    for _ in 0..200 {
        result = rustix::fs::open(&path, OFlags::WRONLY | OFlags::APPEND, Mode::empty()).map(drop);
        if result != Err(Errno::TXTBSY) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let seals = fcntl_get_seals(file).map_or(Value::Null, |seals| json!(seals.bits()));
    let magic = fstatfs(file).map_or(0, |found| found.f_type);
    let write = result.err().map(|errno| std::io::Error::from(errno).to_string());
    json!({"device": device, "inode": inode, "link": link, "write": write, "seals": seals, "magic": magic})
}
