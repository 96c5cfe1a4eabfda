//! The program `power_paging`: more guest memory than secure memory, and no wrong byte.

use std::process::ExitCode;

use uv_power_programs::paging::{self, Load, run};

#[test]
fn guests_larger_than_the_pool_find_every_byte() {
    let load = Load { work_pages: 96, pool_pages: 100, steps: 250, seed: 11 };
    let mut lines = Vec::new();
    let result = run(&load, &mut |line| lines.push(line.to_owned())).unwrap();
    assert!(result.is_right(), "{result:?}");
    assert!(result.vm_pages * 2 > load.pool_pages && result.most_in_use <= load.pool_pages, "{result:?}");
    assert!(result.pages_in > 0 && result.pages_out > 0 && result.asked_out > 0, "{result:?}");
    for guest in result.guests {
        assert_eq!(guest.written + guest.read, u64::from(load.steps));
        // Everything but the pages of the tree and the ultravisor's: the work area, 4 MiB of zeros, what was loaded.
        let least = (load.work_pages + 64 + guest.read) << 16;
        assert!(guest.compared > least, "{} bytes compared", guest.compared);
    }
    assert!(lines.iter().all(|line| line.contains("secure pool") && line.contains("pages in")));
}

#[test]
fn options_that_make_no_sense_end_with_status_2() {
    let main = |arguments: &[&str]| {
        let all = ["power_paging"].iter().chain(arguments).map(|argument| (*argument).into());
        let mut out = Vec::new();
        let ended = paging::main(all, &mut out, &mut |_| {});
        (ended.map_err(|failure| failure.status()), String::from_utf8(out).unwrap())
    };
    for bad in [["--memory", "0"], ["--pool", "0"], ["--pool", "x"], ["--steps", "-1"], ["--other", "1"]] {
        assert_eq!(main(&bad).0, Err(2), "{bad:?}");
    }
    let (ended, shown) = main(&["--memory", "2", "--pool", "5", "--steps", "60"]);
    assert_eq!(ended, Ok(ExitCode::SUCCESS));
    assert!(shown.ends_with("every byte is as the guests wrote it\n"), "{shown}");
}
