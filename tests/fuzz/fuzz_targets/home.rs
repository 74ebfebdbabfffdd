//! Compiles any files as a home: nothing may panic, and nothing may take long or much.
//!
//! The input is text; a line `=== NAME` begins a file.

#![no_main]

use gable_rules::{SourceFile, check, references};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut files = vec![SourceFile { name: "home.yaml".to_owned(), text: String::new() }];
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("=== ") {
            Some(name) => files.push(SourceFile { name: name.trim().to_owned(), text: String::new() }),
            None => {
                if let Some(file) = files.last_mut() {
                    file.text.push_str(line);
                }
            }
        }
    }
    for file in &files {
        references(file);
    }
    check(&files);
});
