//! The table of `ps -ef`, made from /proc: no program of the host is run for it.

use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::commands::passwd::Passwd;
use crate::commands::printable;
use crate::error::{Error, Result};
use crate::state::procfs::{Procfs, Stat};
use crate::sys::localtime::{LocalTime, local_time};

/// What the times in /proc count from, and now; in seconds.
#[derive(Debug, Clone, Copy)]
struct Clock {
    ticks_per_second: u64,
    now: i64,
    uptime: u64,
}

/// The fewest digits ps(1) makes room for in a pid.
const PID_DIGITS: usize = 5;

/// The table of the processes that are still there.
pub(super) fn table(pids: &[i32]) -> Result<String> {
    let procfs = Procfs::open()?;
    let passwd = Passwd::read();
    let clock = Clock {
        ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
        now: clock_gettime(ClockId::Realtime).tv_sec,
        uptime: u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0),
    };
    let width = pid_width(&procfs);
    let mut text = format!("UID      {:>width$} {:>width$}  C STIME TTY          TIME CMD\n", "PID", "PPID");
    for &pid in pids {
        if let Some(line) = line(&procfs, &passwd, clock, width, pid)? {
            text += &line;
        }
    }
    Ok(text)
}

/// The digits of the largest pid of this host.
fn pid_width(procfs: &Procfs) -> usize {
    let limit = procfs.read("sys/kernel/pid_max").ok().and_then(|text| text.trim_end().parse::<u32>().ok());
    limit.map_or(0, |limit| limit.saturating_sub(1).to_string().len()).max(PID_DIGITS)
}

fn line(procfs: &Procfs, passwd: &Passwd, clock: Clock, width: usize, pid: i32) -> Result<Option<String>> {
    let (Some(stat), Some(status), Some(cmdline)) =
        (procfs.stat(pid)?, read(procfs, pid, "status")?, read(procfs, pid, "cmdline")?)
    else {
        return Ok(None);
    };
    let user = effective_uid(&status).map_or_else(|| "?".to_owned(), |uid| shortened(&passwd.name(uid)));
    let used = (stat.utime + stat.stime) / clock.ticks_per_second;
    let age = clock.uptime.saturating_sub(stat.start_time / clock.ticks_per_second);
    let percent = (used * 100).checked_div(age).unwrap_or(0).min(99);
    Ok(Some(format!(
        "{user:<8} {pid:>width$} {:>width$} {percent:>2} {:<5} {:<8} {:>8} {}\n",
        stat.ppid,
        started(clock.now, age),
        terminal(stat.tty),
        duration(used),
        command(&cmdline, &stat),
    )))
}

/// A file of a process; `None` when the process is gone.
fn read(procfs: &Procfs, pid: i32, file: &str) -> Result<Option<String>> {
    match procfs.read(&format!("{pid}/{file}")) {
        Ok(text) => Ok(Some(text)),
        Err(Errno::NOENT | Errno::SRCH) => Ok(None),
        Err(errno) => Err(Error::call("read", format!("/proc/{pid}/{file}"), errno)),
    }
}

/// The second number of the line `Uid:` in `/proc/PID/status`.
fn effective_uid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A name of at most eight characters, the last of which shows that there are more.
fn shortened(name: &str) -> String {
    let name = printable(name);
    if name.chars().count() <= 8 { name } else { name.chars().take(7).chain(['+']).collect() }
}

/// The time of the day, or another day's date, or another year.
fn started(now: i64, age: u64) -> String {
    let start = now.saturating_sub_unsigned(age);
    match (local_time(now), local_time(start)) {
        (Some(now), Some(start)) => start_text(now, start),
        (None, _) | (_, None) => "?".to_owned(),
    }
}

fn start_text(now: LocalTime, start: LocalTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if now.year != start.year {
        return start.year.to_string();
    }
    if (now.month, now.day) != (start.month, start.day) {
        let month = start.month.checked_sub(1).and_then(|month| MONTHS.get(usize::from(month)));
        return format!("{}{:02}", month.unwrap_or(&"?"), start.day);
    }
    format!("{:02}:{:02}", start.hour, start.minute)
}

/// The name of a controlling terminal by its device number, as the kernel encodes it in 32 bits.
fn terminal(device: i32) -> String {
    let device = device.cast_unsigned();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match (major, minor) {
        (136..=143, _) => format!("pts/{}", minor + (major - 136) * (1 << 20)),
        (4, 0..=63) => format!("tty{minor}"),
        (4, 64..=255) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".to_owned(),
        (229, _) => format!("hvc{minor}"),
        _ => "?".to_owned(),
    }
}

fn duration(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let day = if days == 0 { String::new() } else { format!("{days}-") };
    format!("{day}{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// The command line, or the name in brackets of a process that has none.
fn command(cmdline: &str, stat: &Stat) -> String {
    let words = cmdline.trim_end_matches('\0');
    if words.is_empty() {
        let defunct = if stat.state == 'Z' { " <defunct>" } else { "" };
        return format!("[{}]{defunct}", printable(&stat.command));
    }
    printable(&words.replace('\0', " "))
}

#[cfg(test)]
mod tests;
