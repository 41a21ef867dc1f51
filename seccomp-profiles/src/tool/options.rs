//! The words of a command line.

use super::usage;
use crate::capability::CapabilitySet;
use crate::syscalls::Arch;

/// What is asked for.
pub(super) struct Options<'a> {
    /// How the tool is called.
    pub(super) program: &'a str,
    /// The command and what follows it.
    pub(super) words: Vec<&'a str>,
    pub(super) caps: CapabilitySet,
    pub(super) allow: Vec<&'a str>,
    pub(super) native: Arch,
    pub(super) json: bool,
    pub(super) live: bool,
    pub(super) output: Option<&'a str>,
}

pub(super) fn parse<'a>(program: &'a str, args: &[&'a str]) -> Result<Options<'a>, String> {
    let mut options = Options {
        program,
        words: Vec::new(),
        caps: CapabilitySet::DOCKER,
        allow: Vec::new(),
        native: Arch::NATIVE,
        json: false,
        live: false,
        output: None,
    };
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        let (name, mut attached) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (arg, None),
        };
        let mut value = || attached.take().or_else(|| args.next()).ok_or_else(|| format!("{name} needs a value"));
        match name {
            "--caps" => options.caps = caps(value()?)?,
            "--allow" => options.allow = value()?.split(',').collect(),
            "--arch" => options.native = native(value()?)?,
            "--format" => options.json = is_json(value()?)?,
            "-o" => options.output = Some(value()?),
            "--live" => options.live = true,
            "-h" | "--help" | "-V" | "--version" => options.words.push(name),
            // -1 is an argument of a call, - is standard input.
            _ if name.starts_with("--") => return Err(format!("unknown option \"{name}\"\n{}", usage(program))),
            _ => options.words.push(arg),
        }
        if attached.is_some() {
            return Err(format!("{name} takes no value"));
        }
    }
    Ok(options)
}

fn caps(text: &str) -> Result<CapabilitySet, String> {
    match text {
        "none" => Ok(CapabilitySet::EMPTY),
        "docker" => Ok(CapabilitySet::DOCKER),
        "all" => Ok(CapabilitySet::ALL),
        names => CapabilitySet::from_names(names.split(',')).map_err(|why| why.to_string()),
    }
}

fn native(text: &str) -> Result<Arch, String> {
    match Arch::from_name(text) {
        Some(arch @ (Arch::X86_64 | Arch::Aarch64)) => Ok(arch),
        Some(Arch::X86 | Arch::X32 | Arch::Arm) | None => Err(format!("--arch \"{text}\": x86_64 or aarch64")),
    }
}

fn is_json(text: &str) -> Result<bool, String> {
    match text {
        "json" => Ok(true),
        "text" => Ok(false),
        _ => Err(format!("--format \"{text}\": text or json")),
    }
}
