//! The README's first command.

use std::process::Command;

#[test]
fn the_demo_records_a_call_and_approves_of_the_file() {
    for format in ["mp3", "wav"] {
        let out = tempfile::tempdir().unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_callreel"))
            .args(["demo", "--format", format, "--out"])
            .arg(out.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        let why = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{said}\n{why}");
        assert!(said.contains("call_recording_"), "{said}");
    }
}
