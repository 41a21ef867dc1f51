//! The same profile compiled by libseccomp: an independent opinion for the tests and for the measurement of speed.
//!
//! It adds rules to a libseccomp filter in the way that runc does, without the part for numbers above the highest one
//! named, which is not libseccomp's. Only for the native architecture and those that libseccomp knows.

use crate::bpf::Insn;
use crate::profile::{Action, Architecture, Arg, Operator, Profile, Rule};
use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use std::io::{self, Read};
use std::{error, fmt};

/// `SCMP_FLTATR_CTL_OPTIMIZE`: the shape of libseccomp's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One comparison after the other, libseccomp's default.
    Linear = 1,
    /// A binary tree over the numbers.
    Tree = 2,
}

/// Why libseccomp has no filter for a profile.
#[derive(Debug)]
pub enum OracleError {
    /// A call to libseccomp, and what it answered.
    Libseccomp(String, SeccompError),
    /// The filter could not be read from the pipe that libseccomp writes to.
    Read(io::Error),
}

impl fmt::Display for OracleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OracleError::Libseccomp(call, why) => write!(f, "libseccomp: {call}: {why}"),
            OracleError::Read(why) => write!(f, "read the filter that libseccomp exports: {why}"),
        }
    }
}

impl error::Error for OracleError {}

/// Compiles a profile with libseccomp for the architecture of this machine. Calls through other architectures are killed
/// as by [`crate::compile()`], not by libseccomp's own default.
///
/// # Errors
/// Whatever libseccomp refuses: an architecture of another byte order, rules that contradict each other.
pub fn compile(profile: &Profile, shape: Shape) -> Result<Vec<Insn>, OracleError> {
    let context = build(profile, shape)?;
    let (mut reader, writer) = io::pipe().map_err(OracleError::Read)?;
    // At most 4096 instructions of 8 bytes: less than a pipe holds, so that writing first and reading then does not block.
    context.export_bpf(&writer).map_err(|why| OracleError::Libseccomp("seccomp_export_bpf".to_owned(), why))?;
    drop(writer);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(OracleError::Read)?;
    Ok(bytes.as_chunks().0.iter().map(insn).collect())
}

fn insn(bytes: &[u8; 8]) -> Insn {
    let [code_low, code_high, jt, jf, a, b, c, d] = *bytes;
    Insn { code: u16::from_ne_bytes([code_low, code_high]), jt, jf, k: u32::from_ne_bytes([a, b, c, d]) }
}

/// Whether libseccomp has a number for this name on this architecture.
#[must_use]
pub fn knows(name: &str, architecture: Architecture) -> bool {
    let Some(arch) = arch(architecture) else { return false };
    // Negative are its pseudo numbers, for names of other architectures and for what `socketcall` and `ipc` multiplex.
    ScmpSyscall::from_name_by_arch(name, arch).is_ok_and(|call| matches!(call.as_raw_syscall(), 0.. | -224..=-100))
}

fn build(profile: &Profile, shape: Shape) -> Result<ScmpFilterContext, OracleError> {
    let default = action(profile.default_action, profile.default_errno_ret);
    let failed = |call: &str| {
        let call = call.to_owned();
        move |why| OracleError::Libseccomp(call, why)
    };
    let mut context = ScmpFilterContext::new(default).map_err(failed("seccomp_init"))?;
    context.set_act_badarch(ScmpAction::KillProcess).map_err(failed("SCMP_FLTATR_ACT_BADARCH"))?;
    context.set_ctl_optimize(shape as u32).map_err(failed("SCMP_FLTATR_CTL_OPTIMIZE"))?;
    for architecture in &profile.architectures {
        if let Some(arch) = arch(*architecture) {
            context.add_arch(arch).map_err(failed(&format!("seccomp_arch_add {architecture}")))?;
        }
    }
    for rule in &profile.syscalls {
        let action = action(rule.action, rule.errno_ret);
        if action == default {
            continue;
        }
        for name in &rule.names {
            let Ok(call) = ScmpSyscall::from_name(name) else { continue };
            for conditions in alternatives(rule) {
                context
                    .add_rule_conditional(action, call, &conditions)
                    .map_err(failed(&format!("seccomp_rule_add \"{name}\"")))?;
            }
        }
    }
    Ok(context)
}

fn alternatives(rule: &Rule) -> Vec<Vec<ScmpArgCompare>> {
    let all: Vec<_> = rule.args.iter().map(compare).collect();
    let repeats = (0..6).any(|index| rule.args.iter().filter(|arg| arg.index == index).count() > 1);
    if repeats { all.into_iter().map(|one| vec![one]).collect() } else { vec![all] }
}

fn compare(arg: &Arg) -> ScmpArgCompare {
    let (op, datum) = match arg.op {
        Operator::NotEqual => (ScmpCompareOp::NotEqual, arg.value),
        Operator::LessThan => (ScmpCompareOp::Less, arg.value),
        Operator::LessOrEqual => (ScmpCompareOp::LessOrEqual, arg.value),
        Operator::Equal => (ScmpCompareOp::Equal, arg.value),
        Operator::GreaterOrEqual => (ScmpCompareOp::GreaterEqual, arg.value),
        Operator::GreaterThan => (ScmpCompareOp::Greater, arg.value),
        Operator::MaskedEqual => (ScmpCompareOp::MaskedEqual(arg.value), arg.value_two),
    };
    ScmpArgCompare::new(arg.index, op, datum)
}

fn action(action: Action, errno: Option<u32>) -> ScmpAction {
    let errno = errno.unwrap_or(1);
    match action {
        Action::Kill | Action::KillThread => ScmpAction::KillThread,
        Action::KillProcess => ScmpAction::KillProcess,
        Action::Trap => ScmpAction::Trap,
        Action::Errno => ScmpAction::Errno(errno.cast_signed()),
        Action::Trace => ScmpAction::Trace(errno as u16),
        Action::Notify => ScmpAction::Notify,
        Action::Log => ScmpAction::Log,
        Action::Allow => ScmpAction::Allow,
    }
}

fn arch(architecture: Architecture) -> Option<ScmpArch> {
    match architecture {
        Architecture::Native => Some(ScmpArch::Native),
        Architecture::X86 => Some(ScmpArch::X86),
        Architecture::X86_64 => Some(ScmpArch::X8664),
        Architecture::X32 => Some(ScmpArch::X32),
        Architecture::Arm => Some(ScmpArch::Arm),
        Architecture::Aarch64 => Some(ScmpArch::Aarch64),
        _ => None,
    }
}
