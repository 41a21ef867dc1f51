//! Bundles: a root filesystem of busybox and the probe, and a configuration as Docker would write it.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Docker's default set.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

const APPLETS: &str = "ash cat chmod chown cp dd df echo env false grep head hostname id ifconfig ip kill ln ls mkdir \
    mkfifo mknod mount nc ping ps pwd readlink rm sed seq sh sleep sort stat stty sync tail test timeout top touch tr \
    true tty umount uname unshare wc yes";

/// A bundle on disk: `config.json` is written from `spec` each time the bundle is used.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub dir: PathBuf,
    pub spec: Value,
}

impl Bundle {
    /// Makes `dir` with a root filesystem; `cgroups_path` is where the container's cgroups will be.
    pub fn new(dir: PathBuf, cgroups_path: &str) -> Result<Self> {
        make_rootfs(&dir.join("rootfs"))?;
        Ok(Self { spec: default_spec(cgroups_path), dir })
    }

    /// The root filesystem as the host sees it.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Sets the value at a JSON pointer; objects on the way are made.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        let mut place = &mut self.spec;
        for key in pointer.split('/').skip(1) {
            place = match place {
                Value::Array(items) => {
                    let index = key.parse::<usize>().unwrap_or(items.len());
                    while items.len() <= index {
                        items.push(Value::Null);
                    }
                    &mut items[index]
                }
                other => {
                    if !other.is_object() {
                        *other = Value::Object(Map::new());
                    }
                    &mut other[key]
                }
            };
        }
        *place = value;
        self
    }

    /// Removes the value at a JSON pointer.
    pub fn unset(&mut self, pointer: &str) -> &mut Self {
        if let Some((parent, key)) = pointer.rsplit_once('/')
            && let Some(Value::Object(map)) = self.spec.pointer_mut(parent)
        {
            map.remove(key);
        }
        self
    }

    /// Appends to the array at a JSON pointer, which is made when missing.
    pub fn push(&mut self, pointer: &str, value: Value) -> &mut Self {
        match self.spec.pointer_mut(pointer) {
            Some(Value::Array(items)) => items.push(value),
            _ => {
                self.set(pointer, json!([value]));
            }
        }
        self
    }

    /// Sets the program and its arguments.
    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        self.set("/process/args", json!(args))
    }

    /// Runs `script` with the shell.
    pub fn sh(&mut self, script: &str) -> &mut Self {
        self.args(&["/bin/sh", "-c", script])
    }

    /// Appends a mount.
    pub fn mount(&mut self, destination: &str, kind: &str, source: &str, options: &[&str]) -> &mut Self {
        self.push("/mounts", json!({"destination": destination, "type": kind, "source": source, "options": options}))
    }

    /// Appends a bind mount of `source`.
    pub fn bind(&mut self, source: &Path, destination: &str, options: &[&str]) -> &mut Self {
        self.mount(destination, "bind", &source.to_string_lossy(), options)
    }

    /// Removes the mount at `destination`.
    pub fn unmount(&mut self, destination: &str) -> &mut Self {
        if let Some(Value::Array(mounts)) = self.spec.get_mut("mounts") {
            mounts.retain(|mount| mount["destination"] != destination);
        }
        self
    }

    /// Leaves out the namespace of this type.
    pub fn share(&mut self, kind: &str) -> &mut Self {
        if let Some(Value::Array(list)) = self.spec.pointer_mut("/linux/namespaces") {
            list.retain(|namespace| namespace["type"] != kind);
        }
        self
    }

    /// Joins the namespace at `path` instead of making one of this type.
    pub fn join(&mut self, kind: &str, path: &str) -> &mut Self {
        self.share(kind).push("/linux/namespaces", json!({"type": kind, "path": path}))
    }

    /// A new user namespace in which 65536 ids from `host` on are mapped; the root filesystem is given to them.
    pub fn user_namespace(&mut self, host: u32) -> Result<&mut Self> {
        let map = json!([{"containerID": 0, "hostID": host, "size": 65536}]);
        self.push("/linux/namespaces", json!({"type": "user"}));
        self.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        std::os::unix::fs::chown(self.rootfs(), Some(host), Some(host))?;
        Ok(self)
    }

    /// The cgroups path asked for.
    pub fn cgroups_path(&self) -> &str {
        self.spec.pointer("/linux/cgroupsPath").and_then(Value::as_str).unwrap_or_default()
    }

    /// Writes `config.json`.
    pub fn write(&self) -> Result<()> {
        self.write_text(&serde_json::to_string_pretty(&self.spec)?)
    }

    /// Writes any text as `config.json`.
    pub fn write_text(&self, text: &str) -> Result<()> {
        std::fs::write(self.dir.join("config.json"), text).context("write config.json")
    }
}

/// The five sets of `process.capabilities`, all with the same content but for `inheritable` and `ambient`.
pub fn capabilities(names: &[&str]) -> Value {
    json!({"bounding": names, "effective": names, "permitted": names, "inheritable": [], "ambient": []})
}

/// Makes a root filesystem: busybox-static with links for its applets, the probe, and the files programs look for.
pub fn make_rootfs(rootfs: &Path) -> Result<()> {
    for dir in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "run", "var"] {
        std::fs::create_dir_all(rootfs.join(dir)).with_context(|| format!("mkdir \"{dir}\" in a rootfs"))?;
    }
    std::fs::set_permissions(rootfs.join("tmp"), PermissionsExt::from_mode(0o1777))?;
    std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).context("copy /bin/busybox (package busybox-static)")?;
    for applet in APPLETS.split_whitespace() {
        symlink("busybox", rootfs.join("bin").join(applet))?;
    }
    let probe = std::env::current_exe()?.with_file_name("probe");
    ensure!(probe.is_file(), "no \"{}\": build the whole package, `cargo build -p integration`", probe.display());
    std::fs::copy(probe, rootfs.join("bin/probe")).context("copy the probe")?;
    std::fs::write(rootfs.join(".probe"), "the probe acts only beside this file\n")?;
    std::fs::write(
        rootfs.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
    )?;
    std::fs::write(rootfs.join("etc/group"), "root:x:0:\nalice:x:1000:\nextra:x:2000:alice\n")?;
    Ok(())
}

fn default_spec(cgroups_path: &str) -> Value {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/true"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "cwd": "/",
            "capabilities": capabilities(&DEFAULT_CAPABILITIES),
        },
        "root": {"path": "rootfs"},
        "hostname": "inside",
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {
            "cgroupsPath": cgroups_path,
            "resources": {"devices": [
                {"allow": false, "access": "rwm"},
                // Making a node is harmless; opening it is what the other rules are about.
                {"allow": true, "type": "c", "access": "m"},
                {"allow": true, "type": "b", "access": "m"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 7, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 8, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 9, "access": "rwm"},
                {"allow": true, "type": "c", "major": 5, "minor": 0, "access": "rwm"},
                {"allow": true, "type": "c", "major": 5, "minor": 2, "access": "rwm"},
                {"allow": true, "type": "c", "major": 136, "access": "rwm"},
            ]},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
