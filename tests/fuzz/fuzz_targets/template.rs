//! Parses any text as a template and renders it with a few variables: nothing may panic, and
//! nothing may take long or much.

#![no_main]

use gable_devices::{Context, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(template) = Template::parse(text) {
        let _ = template.render(&Context::default());
    }
});
