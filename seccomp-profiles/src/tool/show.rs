//! The commands, and how their answers look.

use super::options::Options;
use super::source::{Part, Source};
use super::{Host, Live, Output, usage};
use crate::bpf::{Action, Insn, SeccompData};
use crate::cases::{self, Outcome};
use crate::compile::Layer;
use crate::diff::{self, columns};
use crate::explain::explain;
use crate::lint;
use crate::syscalls::{Arch, Syscall};
use crate::{disasm, families, overlay};
use serde::Serialize;
use std::collections::BTreeSet;

pub(super) fn run(options: &Options<'_>, host: &dyn Host) -> Result<Output, String> {
    let open = |text| Source::open(text, options, host);
    if (options.live && options.words.first() != Some(&"test"))
        || (options.output.is_some() && options.words.first() != Some(&"compile"))
    {
        return Err(usage(options.program));
    }
    match options.words.as_slice() {
        ["-h" | "--help"] => Ok(said(usage(options.program) + "\n")),
        ["-V" | "--version"] => Ok(said(format!("{} {}\n", options.program, env!("CARGO_PKG_VERSION")))),
        ["list"] => list(options),
        ["compile", profile] => compile(&open(profile)?, options, host),
        ["disasm", profile] => Ok(said(disasm::disassemble(&open(profile)?.filter(options)?.insns))),
        ["explain", profile] => explain_all(&open(profile)?, options),
        ["explain", profile, call, args @ ..] => explain_call(&open(profile)?, call, args, options),
        ["diff", left, right] => diff_of(&open(left)?, &open(right)?, options),
        ["lint", profile] => lint_of(&open(profile)?, options, host),
        ["test", profile, file] => test(&open(profile)?, file, options, host),
        _ => Err(usage(options.program)),
    }
}

fn said(text: String) -> Output {
    Output { stdout: text.into_bytes(), stderr: String::new(), status: 0 }
}

fn json<T: Serialize>(value: &T) -> Result<String, String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|why| why.to_string())
}

fn list(options: &Options<'_>) -> Result<Output, String> {
    #[derive(Serialize)]
    struct Listed {
        families: Vec<ListedFamily>,
        tokens: Vec<(String, String)>,
    }
    #[derive(Serialize)]
    struct ListedFamily {
        name: &'static str,
        calls: usize,
        instructions: usize,
        summary: String,
    }
    let mut listed = Listed { families: Vec::new(), tokens: overlay::tokens().map_err(|why| why.to_string())? };
    for name in families::names() {
        let profile = families::load(name, &options.caps, options.native).map_err(|why| why.to_string())?;
        let filter = crate::compile::compile(&profile, options.native).map_err(|why| why.to_string())?;
        let summary = families::describe(name).map_err(|why| why.to_string())?.summary;
        let allowed = profile.syscalls.iter().filter(|rule| rule.action == crate::profile::Action::Allow);
        let mut calls: BTreeSet<u32> = BTreeSet::new();
        calls.extend(
            allowed.flat_map(|rule| &rule.names).filter_map(|call| Syscall::from_name(call)?.number(options.native)),
        );
        listed.families.push(ListedFamily { name, calls: calls.len(), instructions: filter.insns.len(), summary });
    }
    if options.json {
        return Ok(said(json(&listed)?));
    }
    let header = ["family", "calls", "instructions", "for"].map(str::to_owned);
    let rows = listed.families.into_iter().map(|family| {
        [family.name.to_owned(), family.calls.to_string(), family.instructions.to_string(), family.summary]
    });
    let tokens = listed.tokens.into_iter().map(|(token, calls)| [token, calls]);
    let heading = ["token".to_owned(), "takes out of the overlay rules for".to_owned()];
    let text = columns([header].into_iter().chain(rows).collect());
    Ok(said(format!("{text}\n{}", columns([heading].into_iter().chain(tokens).collect()))))
}

fn compile(source: &Source, options: &Options<'_>, host: &dyn Host) -> Result<Output, String> {
    #[derive(Serialize)]
    struct Compiled<'a> {
        instructions: usize,
        flags: u32,
        listener: bool,
        warnings: &'a [String],
    }
    let filter = source.filter(options)?;
    let stderr = filter.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
    let bytes = || filter.insns.iter().flat_map(sock_filter).collect::<Vec<u8>>();
    let stdout = match options.output {
        Some("-") => bytes(),
        Some(file) => {
            host.write(file, &bytes()).map_err(|why| format!("write \"{file}\": {why}"))?;
            Vec::new()
        }
        None if options.json => {
            let (instructions, listener) = (filter.insns.len(), filter.notify);
            json(&Compiled { instructions, flags: filter.flags, listener, warnings: &filter.warnings })?.into_bytes()
        }
        None => {
            let listener = if filter.notify { ", with a listener" } else { "" };
            format!("{} instructions, flags {:#x}{listener}\n", filter.insns.len(), filter.flags).into_bytes()
        }
    };
    Ok(Output { stdout, stderr, status: 0 })
}

fn sock_filter(insn: &Insn) -> [u8; 8] {
    let ([code_low, code_high], [a, b, c, d]) = (insn.code.to_ne_bytes(), insn.k.to_ne_bytes());
    [code_low, code_high, insn.jt, insn.jf, a, b, c, d]
}

/// What happens to a call and what each layer says of it.
#[derive(Serialize)]
struct Explained {
    call: String,
    action: String,
    reasons: Vec<String>,
}

fn explained(source: &Source, data: &SeccompData, name: &str, native: Arch) -> Result<(Action, Explained), String> {
    let mut reasons = Vec::new();
    let mut strictest: Option<Action> = None;
    for part in &source.parts {
        let (action, mut reason) = match &part.layer {
            Layer::Profile(profile) => {
                let explanation = explain(profile, native, data).map_err(|why| why.to_string())?;
                (explanation.action, explanation.reason.to_string())
            }
            Layer::Overlay(overlay) => overlay.explain(data),
        };
        if let Some(why) = why(part, name) {
            reason = format!("{reason}; {why}");
        }
        let label = if source.parts.len() > 1 { format!("{}: {action}: ", part.name) } else { String::new() };
        reasons.push(format!("{label}{reason}"));
        strictest = Some(strictest.map_or(action, |known| crate::compile::intersect::stricter(known, action)));
    }
    let action = strictest.ok_or("no profile is given")?;
    Ok((action, Explained { call: name.to_owned(), action: action.to_string(), reasons }))
}

/// The reason that a family gives for a call.
fn why(part: &Part, call: &str) -> Option<String> {
    let family = part.family.as_ref()?;
    let find = |list: &[(String, String)]| list.iter().find(|(name, _)| name == call).map(|(_, why)| why.clone());
    find(&family.refused).or_else(|| find(&family.calls))
}

fn explain_all(source: &Source, options: &Options<'_>) -> Result<Output, String> {
    let mut all = Vec::new();
    for call in Syscall::all() {
        let Some(number) = call.number(options.native) else { continue };
        let data = SeccompData::new(options.native, number, [0; 6]);
        all.push(explained(source, &data, call.name(), options.native)?.1);
    }
    if options.json {
        return Ok(said(json(&all)?));
    }
    Ok(said(columns(all.into_iter().map(|one| [one.call, one.action, one.reasons.join("; ")]).collect())))
}

fn explain_call(source: &Source, call: &str, args: &[&str], options: &Options<'_>) -> Result<Output, String> {
    let values = args.iter().map(|arg| {
        crate::compile::condition::number(arg)
            .ok_or_else(|| format!("\"{arg}\" is neither a known system call nor a number"))
    });
    let data = cases::call(call, &values.collect::<Result<Vec<_>, _>>()?, options.native)?;
    let name = call.split_once(':').map_or(call, |(_, name)| name);
    let (action, explained) = explained(source, &data, name, options.native)?;
    let verdict = source.filter(options)?.verdict(&data);
    if verdict != action {
        return Err(format!("the filter answers {verdict}, the rules say {action}: this is a bug"));
    }
    if options.json {
        return Ok(said(json(&explained)?));
    }
    match explained.reasons.as_slice() {
        [reason] => Ok(said(format!("{action}: {reason}\n"))),
        reasons => Ok(said(format!("{action}\n  {}\n", reasons.join("\n  ")))),
    }
}

fn diff_of(left: &Source, right: &Source, options: &Options<'_>) -> Result<Output, String> {
    let differences = diff::diff(&left.decisions(options)?, &right.decisions(options)?);
    let text = if options.json { json(&differences)? } else { diff::text(&differences) };
    Ok(Output { status: u8::from(!differences.is_empty()), ..said(text) })
}

fn lint_of(source: &Source, options: &Options<'_>, host: &dyn Host) -> Result<Output, String> {
    let findings = lint::lint(&source.layers(), options.native, host.kernel(), &source.accepted());
    let text = if options.json { json(&findings)? } else { lint::text(&findings) };
    Ok(Output { status: u8::from(findings.iter().any(lint::Finding::counts)), ..said(text) })
}

fn test(source: &Source, file: &str, options: &Options<'_>, host: &dyn Host) -> Result<Output, String> {
    let text = host.read(file).map_err(|why| format!("read \"{file}\": {why}"))?;
    let text = String::from_utf8(text).map_err(|why| format!("\"{file}\": {why}"))?;
    let cases = cases::parse(&text, options.native).map_err(|why| format!("\"{file}\": {why}"))?;
    let filter = source.filter(options)?;
    let live = if options.live {
        let calls: Vec<SeccompData> = cases.iter().map(|(case, _)| case.data).collect();
        host.live(&filter, &calls)?.into_iter().map(Some).collect()
    } else {
        vec![None; cases.len()]
    };
    let outcomes: Vec<Outcome> = cases
        .iter()
        .zip(live)
        .map(|((case, expect), live)| {
            let answer = filter.verdict(&case.data);
            let passed = case.expect.is_met_by(answer) && live.is_none_or(|live| agrees(answer, live));
            let (call, answer) = (case.title.clone(), answer.to_string());
            Outcome { call, expect: expect.clone(), answer, kernel: live.map(words), passed }
        })
        .collect();
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    if options.json {
        return Ok(Output { status: u8::from(failed > 0), ..said(json(&outcomes)?) });
    }
    let rows = outcomes.into_iter().map(|outcome| {
        let kernel = outcome.kernel.map_or_else(String::new, |kernel| format!("kernel: {kernel}"));
        let passed = if outcome.passed { "ok" } else { "FAILED" };
        [passed.to_owned(), outcome.call, format!("expected {}", outcome.expect), outcome.answer, kernel]
    });
    let text = columns(rows.collect());
    Ok(Output { status: u8::from(failed > 0), ..said(format!("{text}{} cases, {failed} failed\n", cases.len())) })
}

/// Whether the kernel did what the interpreter says.
fn agrees(answer: Action, live: Live) -> bool {
    match answer {
        Action::KillProcess | Action::KillThread => live == Live::Killed,
        Action::Trap(data) => live == Live::Trap(data),
        Action::Errno(errno) => live == Live::Errno(errno),
        Action::Notify | Action::Trace(_) | Action::Log | Action::Allow => live == Live::LetThrough,
    }
}

fn words(live: Live) -> String {
    match live {
        Live::LetThrough => "let through".to_owned(),
        Live::Errno(errno) => format!("ERRNO({errno})"),
        Live::Trap(data) => format!("TRAP({data})"),
        Live::Killed => "killed".to_owned(),
    }
}
