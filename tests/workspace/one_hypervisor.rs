//! The program `one_hypervisor`: the same hypervisor, the same guest, every machine.

use std::process::Command;

use serde_json::Value;
use uv_test_support::example;

#[test]
fn one_hypervisor_runs_every_machine() {
    let output = Command::new(example("one_hypervisor")).args(["--json", "--limit", "8"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let machines: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(machines.len(), 5);
    for machine in &machines {
        let number = |key: &str| machine[key].as_u64().unwrap();
        let name = machine["machine"].as_str().unwrap();
        assert_eq!((number("refused"), number("entered"), number("pages_right")), (1, 1, 24), "{name}");
        assert_eq!(machine["shared"], "to whom it may concern", "{name}");
        if name == "bare engine without sealing" {
            assert_eq!(number("pages_out"), 0);
        } else {
            assert!(number("pages_out") > 24 && number("secure_at_the_end") <= 8, "{machine}");
        }
    }
}
