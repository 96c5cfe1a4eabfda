//! The same program, in its own process and through the device nodes.

use std::process::{Command, Output};

use uv_test_support::{example_of, file, program};

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_vmm_and_a_guest_tool_see_the_same_through_the_device_nodes() {
    let image = file("tests/fixtures/pvimg/d-all-keys-flags/image.bin");
    let key = file("uv-s390/tests/fixtures/keys/host1.key.pem");
    let transcript = example_of("uv-linux", "transcript");
    let process = Command::new(&transcript).arg("process").args([&image, &key]).output().expect("it runs");
    let nodes = Command::new(program("uv-devices"))
        .args(["run", "--big-endian", "--quiet", "--image"])
        .arg(&image)
        .arg("--host-key")
        .arg(&key)
        .arg("--")
        .arg(&transcript)
        .arg("nodes")
        .arg(&image)
        .output()
        .expect("it runs");
    let (process, nodes) = (text(process), text(nodes));
    assert!(process.contains("verify: Ok(())") && process.contains("lock again: Ok"), "{process}");
    for (line, other) in process.lines().zip(nodes.lines()) {
        assert_eq!(line, other);
    }
    assert_eq!(process.lines().count(), nodes.lines().count());
}
