//! Colour for people, plain text for pipes.

use std::io::IsTerminal;

/// Wraps text in terminal colours, or not at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    coloured: bool,
}

impl Palette {
    /// Colours only what goes to a terminal, and never against `NO_COLOR`.
    pub(crate) fn for_stdout() -> Palette {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Palette { coloured: !unwanted && std::io::stdout().is_terminal() }
    }

    #[cfg(test)]
    pub(crate) fn plain() -> Palette {
        Palette { coloured: false }
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// Gives each node a colour of its own, so that an eye can follow one through the timeline.
    pub(crate) fn node(self, node: u64) -> String {
        const COLOURS: [&str; 6] = ["34", "35", "36", "94", "95", "96"];
        let colour = COLOURS[(node % COLOURS.len() as u64) as usize];
        self.paint(colour, &format!("n{node}"))
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
