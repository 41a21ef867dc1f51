//! Seccomp profiles: what the compiled filter answers is what the rules say, call by call; and the profile tool.

use crate::config::draw;
use seccomp_profiles::disasm::disassemble;
use seccomp_profiles::explain::explain;
use seccomp_profiles::interpret::Program;
use seccomp_profiles::profile::Architecture;
use seccomp_profiles::template::{Container, Template};
use seccomp_profiles::tool::{self, Host, Live};
use seccomp_profiles::{
    Arch, Decisions, Filter, Layer, Overlay, Profile, SeccompData, Syscall, compile, denies_execve,
};
use seccomp_profiles::{CapabilitySet, strictness};
use std::hint::black_box;
use std::io;

/// The most rules of an input whose calls are asked for.
const MOST_RULES: usize = 24;

pub fn run(data: &[u8]) {
    if let Ok(template) = Template::from_json(data) {
        for (kernel, caps) in [((4, 18), &["CAP_SYS_ADMIN"][..]), ((6, 18), &[])] {
            let container = Container { caps, architecture: Architecture::X86_64, goarch: "amd64", kernel };
            if let Ok(profile) = template.resolve(&container) {
                agrees(&profile, data);
            }
        }
    }
    let profile = Profile::from_config_json(data).ok().flatten();
    for profile in profile.into_iter().chain(Profile::from_json(data)) {
        let text = serde_json::to_vec(&profile).unwrap();
        assert_eq!(Profile::from_json(&text).unwrap(), profile, "what is written is not what was read");
        agrees(&profile, data);
    }
}

/// The filter, the decisions it was made of and the rules themselves give one answer to each call.
fn agrees(profile: &Profile, data: &[u8]) {
    let native = if draw(data).is_multiple_of(4) { Arch::Aarch64 } else { Arch::X86_64 };
    let filter = match compile(profile, native) {
        Ok(filter) => filter,
        Err(error) => return assert!(!error.problems.is_empty()),
    };
    let program = Program::new(&filter.insns).unwrap();
    let decisions = Decisions::of_profile(profile, native).unwrap();
    black_box(denies_execve(&filter, native));
    assert!(disassemble(&filter.insns).lines().count() >= filter.insns.len());
    for call in calls(profile, native) {
        let answer = program.run(&call);
        assert_eq!(decisions.answer(&call), answer, "decisions: {call:x?}");
        let explained = explain(profile, native, &call).unwrap();
        assert_eq!(explained.action, answer, "{call:x?}: {:?}", explained.reason);
        assert!(program.answers(call.arch, call.nr).contains(&answer), "{call:x?} can be answered {answer}");
    }
    if filter.insns.len() < 300 && draw(data).is_multiple_of(3) {
        layered(profile, &program, native);
    }
}

/// With the overlay below it a profile lets nothing more through.
fn layered(profile: &Profile, alone: &Program, native: Arch) {
    assert!(matches!(strictness::wider(alone, alone), Ok(None) | Err(_)));
    let overlay = Overlay::load(&CapabilitySet::DOCKER, &[]).unwrap();
    let layers = [Layer::Overlay(overlay), Layer::Profile(profile.clone())];
    let Ok(both) = seccomp_profiles::compile_layers(&layers, native) else { return };
    let both = Program::new(&both.insns).unwrap();
    if let Ok(Some(wider)) = strictness::wider(alone, &both) {
        panic!("the overlay widens: {wider}");
    }
}

/// Calls on and beside what the rules speak of.
fn calls(profile: &Profile, native: Arch) -> Vec<SeccompData> {
    let mut all = Vec::new();
    for arch in Arch::ALL {
        for number in [0, 1, 59, 435, 470, 600, u32::MAX] {
            all.push(SeccompData::new(arch, number, [0; 6]));
            all.push(SeccompData::new(arch, number | arch.number_bits(), [1; 6]));
        }
        for rule in profile.syscalls.iter().take(MOST_RULES) {
            let numbers = rule.names.iter().take(8).filter_map(|name| Syscall::from_name(name)?.number(arch));
            for number in numbers {
                let mut args = [0; 6];
                all.push(SeccompData::new(arch, number, args));
                for arg in rule.args.iter().take(6) {
                    let at = (arg.index as usize).min(5);
                    for value in
                        [arg.value, arg.value.wrapping_add(1), arg.value_two, arg.value_two | !arg.value, u64::MAX]
                    {
                        let mut other = args;
                        other[at] = value;
                        all.push(SeccompData::new(arch, number, other));
                    }
                    args[at] = if arg.value_two == 0 { arg.value } else { arg.value_two };
                    all.push(SeccompData::new(arch, number, args));
                }
            }
        }
    }
    // Above all that a profile names, and where the x32 bit alone tells.
    all.push(SeccompData { nr: 0x4000_0000, arch: native.audit(), instruction_pointer: 0, args: [0; 6] });
    all.push(SeccompData { nr: 1, arch: 0, instruction_pointer: 0, args: [0; 6] });
    all
}

/// The files that the tool is given.
struct Files<'a> {
    one: &'a [u8],
    other: &'a [u8],
}

impl Host for Files<'_> {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match path {
            "-" | "one" => Ok(self.one.to_vec()),
            "other" => Ok(self.other.to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn write(&self, _: &str, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn kernel(&self) -> Option<(u32, u32)> {
        Some((6, 18))
    }

    fn live(&self, _: &Filter, calls: &[SeccompData]) -> Result<Vec<Live>, String> {
        Ok(vec![Live::LetThrough; calls.len()])
    }
}

/// `casemate seccomp`: the first line of the input is the command line, then follow the files `one` and `other`, with a
/// NUL between them.
pub fn tool(data: &[u8]) {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let Some(Ok(line)) = lines.next().map(std::str::from_utf8) else { return };
    let mut files = lines.next().unwrap_or_default().splitn(2, |byte| *byte == 0);
    let host = Files { one: files.next().unwrap_or_default(), other: files.next().unwrap_or_default() };
    let args: Vec<&str> = line.split(' ').collect();
    let output = tool::run("casemate seccomp", &args, &host);
    assert!(output.status <= 2);
    assert!(output.status != 2 || !output.stderr.is_empty(), "no word about what is wrong");
}
