//! The calls with the codes that the tables have for them (s390-ultravisor §1.7, §4, §6.5, docs/s390-unsure.md).

use super::calls::{Answer, Call, Done, Op};

/// Calls with their codes: rc, or rc and rrc where the rrc tells them apart.
const TABLE: &[(&str, &str)] = &[
    ("any", "0002 0005 0003"),
    ("INIT_UV", "0001 0101 0102 0103 0104 0105 0108"),
    ("CREATE_SEC_CONF", "0001 0101 0102 0104 0105 0108 0109 010b 010c 010d 810a"),
    ("DESTROY_SEC_CONF", "0001 0020 01f0"),
    ("DESTROY_SEC_CONF_FAST", "0001 0020 01f0"),
    ("CREATE_SEC_CPU", "0001 0020 01f0 0103 0104 0105 0106 0107"),
    ("DESTROY_SEC_CPU", "0001 0021"),
    (
        "SET_SEC_CONF_PARAMS",
        "0001 0020 01f0 010a/0031 0103 0104/0001 010a/0040 010a/0039 0106/0030 0108/0005 0108/000b 010a 0109",
    ),
    ("UNPACK_IMG", "0001 0020 01f0 01f4 010a 0032 0104 01f3"),
    ("VERIFY_IMG", "0001 0020 01f0 0102/001a 0102/001b 0102/001c 0102/001d"),
    ("CPU_SET_STATE", "0001 0021 01f4 01f0"),
    ("CPU_RESET", "0001 0021 01f0"),
    ("PREPARE_RESET", "0001 0020 01f0"),
    ("SET_UNSHARE_ALL", "0001 0020 01f0"),
    ("CONV_TO_SEC_STOR", "0001 0020 01f0 01f4 010a 0032 01f3 01f1"),
    ("CONV_FROM_SEC_STOR", "0001 0032 01f3"),
    ("DESTR_SEC_STOR", "0001 0032 01f3 0107/000d"),
    ("PIN_PAGE_SHARED", "0001 0032 01f0"),
    ("UNPIN_PAGE_SHARED", "0001 0020 01f0 01f4"),
    ("DUMP_INIT", "0001 0020 01f0"),
    ("DUMP_CPU", "0001 0021 01f0 0032"),
    ("DUMP_CONF_STOR_STATE", "0001 0020 01f0 01f4 0032"),
    ("DUMP_COMPLETE", "0001 0020 01f0 0032"),
    ("VERIFY_LARGE_FRAME", "0020 01f0 0103 0106 0108"),
    ("SIE", "validity-2001 validity-2002 validity-2006 validity-2009"),
    ("SIE", "intercept-08 intercept-1c intercept-6c intercept-70"),
    ("SIE", "program-04 program-05 program-11 program-3c program-3e program-3f"),
    ("SET_SHARED_ACCESS", "0001 0101"),
    ("REMOVE_SHARED_ACCESS", "0001 0101"),
    ("guest any", "0002"),
    ("host access", "open closed"),
];

pub(super) fn table() -> Vec<(String, String)> {
    let each = |(call, codes): &(&str, &str)| {
        codes.split(' ').map(|code| ((*call).to_owned(), code.to_owned())).collect::<Vec<_>>()
    };
    TABLE.iter().flat_map(each).collect()
}

const fn name(call: &Call) -> &'static str {
    match call {
        Call::BadCommand | Call::BadLength(_) => "any",
        Call::Init(_) => "INIT_UV",
        Call::CreateConf(..) => "CREATE_SEC_CONF",
        Call::DestroyConf { .. } => "DESTROY_SEC_CONF",
        Call::DestroyConfFast { .. } => "DESTROY_SEC_CONF_FAST",
        Call::CreateCpu { .. } => "CREATE_SEC_CPU",
        Call::DestroyCpu { .. } => "DESTROY_SEC_CPU",
        Call::SetParams { .. } => "SET_SEC_CONF_PARAMS",
        Call::Unpack { .. } => "UNPACK_IMG",
        Call::Verify { .. } => "VERIFY_IMG",
        Call::SetState { .. } => "CPU_SET_STATE",
        Call::Reset { .. } => "CPU_RESET",
        Call::PrepareReset { .. } => "PREPARE_RESET",
        Call::UnshareAll { .. } => "SET_UNSHARE_ALL",
        Call::Import { .. } => "CONV_TO_SEC_STOR",
        Call::Export(_) => "CONV_FROM_SEC_STOR",
        Call::DestroyPage(_) => "DESTR_SEC_STOR",
        Call::Pin(_) => "PIN_PAGE_SHARED",
        Call::Unpin { .. } => "UNPIN_PAGE_SHARED",
        Call::DumpInit { .. } => "DUMP_INIT",
        Call::DumpCpu { .. } => "DUMP_CPU",
        Call::DumpStorage { .. } => "DUMP_CONF_STOR_STATE",
        Call::DumpComplete { .. } => "DUMP_COMPLETE",
        Call::VerifyLarge { .. } => "VERIFY_LARGE_FRAME",
        Call::Enter { .. } => "SIE",
        Call::HostRead(..) | Call::HostWrite(..) | Call::HostPut(..) | Call::PutComponent { .. } => "host access",
        Call::Map(..) => "",
    }
}

/// The pair of a call and what came of it.
pub(super) fn pair(call: &Call, answer: &Answer) -> Option<(String, String)> {
    let name = name(call);
    let (name, code) = match (call, *answer) {
        (_, Answer::Nothing) => return None,
        // What all commands have in common.
        (_, Answer::Codes(1, rc @ (2 | 3 | 5), 0)) => ("any", format!("{rc:04x}")),
        (_, Answer::Codes(_, rc, 0)) => (name, format!("{rc:04x}")),
        (_, Answer::Codes(_, rc, rrc)) => (name, format!("{rc:04x}/{rrc:04x}")),
        (Call::Enter { op, .. }, Answer::Intercept(_, Some(Done::Call(_, rc)))) => match op {
            Op::Share(_) => ("SET_SHARED_ACCESS", format!("{rc:04x}")),
            Op::Unshare(_) => ("REMOVE_SHARED_ACCESS", format!("{rc:04x}")),
            _ => ("guest any", format!("{rc:04x}")),
        },
        (_, Answer::Intercept(code, _)) => (name, format!("intercept-{code:02x}")),
        (_, Answer::Validity(code)) => (name, format!("validity-{code:04x}")),
        (_, Answer::Program(code)) => (name, format!("program-{code:02x}")),
        (_, Answer::Host(open)) => (name, if open { "open" } else { "closed" }.to_owned()),
    };
    Some((name.to_owned(), code))
}
