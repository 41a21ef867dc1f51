//! `seccomp-profile`: compiles, explains and disassembles seccomp profiles.

use seccomp_profiles::{Arch, Insn, Profile, SeccompData, Syscall, compile, disasm, explain::explain};
use std::io::Write;
use std::process::ExitCode;
use std::{env, error, fs, io};

const USAGE: &str = "usage: seccomp-profile compile PROFILE [-o FILE]
       seccomp-profile explain PROFILE [SYSCALL [ARG...]]
       seccomp-profile disasm PROFILE

PROFILE is a seccomp profile or a config.json, whose linux.seccomp is taken; - is standard input.
compile writes the filter as the kernel takes it (struct sock_filter, 8 bytes each) to FILE or, with -o -, to
standard output; without -o it only tells the size and the flags.
explain tells what happens to SYSCALL (a name, or a number; prefixed by an architecture as in x86:socketcall) with the
arguments given (decimal or 0x...; 0 where missing), and which rule is responsible; without SYSCALL, what happens to each
call of the native architecture with arguments of 0.";

type Failure = Box<dyn error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["compile", profile] => compile_profile(profile, None),
        ["compile", profile, "-o", file] | ["compile", "-o", file, profile] => compile_profile(profile, Some(file)),
        ["explain", profile] => explain_all(profile),
        ["explain", profile, call, args @ ..] => explain_call(profile, call, args),
        ["disasm", profile] => disassemble(profile),
        ["-h" | "--help"] => print(&format!("{USAGE}\n")),
        ["-V" | "--version"] => print(&format!("seccomp-profile {}\n", env!("CARGO_PKG_VERSION"))),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<Profile, Failure> {
    let text = match path {
        "-" => io::read_to_string(io::stdin()).map(String::into_bytes),
        path => fs::read(path),
    };
    let text = text.map_err(|why| format!("read \"{path}\": {why}"))?;
    match (Profile::from_config_json(&text), Profile::from_json(&text)) {
        (Ok(Some(profile)), _) | (_, Ok(profile)) => Ok(profile),
        // With a "linux" that is none of a config.json's: that is what is wrong.
        (Err(why), Err(_)) | (Ok(None), Err(why)) => Err(format!("\"{path}\": {why}").into()),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn compile_profile(path: &str, output: Option<&str>) -> Result<(), Failure> {
    let filter = compile(&read(path)?, Arch::NATIVE)?;
    for warning in &filter.warnings {
        eprintln!("warning: {warning}");
    }
    let bytes: Vec<u8> = filter.insns.iter().flat_map(sock_filter).collect();
    match output {
        Some("-") => Ok(io::stdout().write_all(&bytes)?),
        Some(file) => fs::write(file, &bytes).map_err(|why| format!("write \"{file}\": {why}").into()),
        None => {
            let listener = if filter.notify { ", with a listener" } else { "" };
            print(&format!("{} instructions, flags {:#x}{listener}\n", filter.insns.len(), filter.flags))
        }
    }
}

fn sock_filter(insn: &Insn) -> [u8; 8] {
    let ([code_low, code_high], [a, b, c, d]) = (insn.code.to_ne_bytes(), insn.k.to_ne_bytes());
    [code_low, code_high, insn.jt, insn.jf, a, b, c, d]
}

fn disassemble(path: &str) -> Result<(), Failure> {
    print(&disasm::disassemble(&compile(&read(path)?, Arch::NATIVE)?.insns))
}

fn explain_all(path: &str) -> Result<(), Failure> {
    let profile = read(path)?;
    let mut text = String::new();
    for call in Syscall::all() {
        let Some(number) = call.number(Arch::NATIVE) else { continue };
        let explanation = explain(&profile, Arch::NATIVE, &SeccompData::new(Arch::NATIVE, number, [0; 6]))?;
        text.push_str(&format!("{:<28} {:<14} {}\n", call.name(), explanation.action.to_string(), explanation.reason));
    }
    print(&text)
}

fn explain_call(path: &str, call: &str, args: &[&str]) -> Result<(), Failure> {
    let profile = read(path)?;
    let (arch, call) = match call.split_once(':') {
        Some((arch, call)) => {
            (Arch::from_name(arch).ok_or_else(|| format!("unknown architecture \"{arch}\": {}", arch_names()))?, call)
        }
        None => (Arch::NATIVE, call),
    };
    let number = match Syscall::from_name(call) {
        Some(known) => known.number(arch).ok_or_else(|| format!("{arch} has no system call \"{call}\""))?,
        None => u32::try_from(number(call)?).map_err(|_| format!("\"{call}\" is no number of a system call"))?,
    };
    if args.len() > 6 {
        return Err(format!("{} arguments, a system call has 6", args.len()).into());
    }
    let mut values = [0; 6];
    for (value, arg) in values.iter_mut().zip(args) {
        *value = self::number(arg)?;
    }
    let data = SeccompData::new(arch, number, values);
    let explanation = explain(&profile, Arch::NATIVE, &data)?;
    let filter = compile(&profile, Arch::NATIVE)?;
    let verdict = filter.verdict(&data);
    if verdict != explanation.action {
        return Err(format!("the filter answers {verdict}, the rules say {}: this is a bug", explanation.action).into());
    }
    print(&format!("{verdict}: {}\n", explanation.reason))
}

fn arch_names() -> String {
    Arch::ALL.map(Arch::name).join(", ")
}

fn number(text: &str) -> Result<u64, Failure> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse().or_else(|_| text.parse::<i64>().map(i64::cast_unsigned)),
    };
    value.map_err(|_| format!("\"{text}\" is neither a known system call nor a number").into())
}
