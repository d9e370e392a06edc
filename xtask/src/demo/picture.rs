//! The demo's table as an SVG picture, for the README.

use std::fmt::Write as _;

/// Characters in a line; longer ones are wrapped.
const COLUMNS: usize = 104;
/// Width of a character, in tenths of a pixel.
const CELL_WIDTH: usize = 84;
/// Height of a line, in pixels.
const LINE_HEIGHT: usize = 19;
/// Around the text, in pixels.
const MARGIN: usize = 20;

/// Draws what the demo printed, from the line that names Docker's version on.
pub fn svg(printed: &[String]) -> String {
    let lines = printed
        .iter()
        .skip_while(|line| !line.starts_with("Docker "))
        .flat_map(|line| wrapped(&shortened(line)))
        .collect::<Vec<_>>();
    let width = COLUMNS * CELL_WIDTH / 10 + 2 * MARGIN;
    let height = lines.len() * LINE_HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" xml:space=\"preserve\">\n\
         <!-- Written by cargo xtask demo, option picture; do not edit. -->\n\
         <title>The demo's table: docker run with runc, and under lockc</title>\n\
         <style>text {{ font: 14px monospace; fill: #d4d4d4; white-space: pre }} .dim {{ fill: \
         #8f8f8f }} .head {{ font-weight: bold; fill: #ffffff }} .works {{ fill: #7ec699 }} \
         .stopped {{ fill: #f08d8d }}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1e1e1e\"/>\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = MARGIN + LINE_HEIGHT * number + 14;
        let class = match line {
            _ if number == 0 || line.starts_with("docker run …") => " class=\"head\"",
            _ if line.starts_with(' ') || line.starts_with("---") => " class=\"dim\"",
            _ => "",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"{y}\"{class}>{}</text>", coloured(line));
    }
    svg + "</svg>\n"
}

/// Without the remedies at the end of a reason: the picture shows that there is a reason.
fn shortened(line: &str) -> String {
    match line.split_once(" [") {
        Some((reason, _)) if line.starts_with("   baseline: ") => format!("{reason} …"),
        _ => line.trim_end().to_owned(),
    }
}

/// The lines that a line takes, the later ones indented.
fn wrapped(line: &str) -> Vec<String> {
    if line.chars().count() <= COLUMNS {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last + word.trim_end().chars().count() > COLUMNS {
            lines.push("     ".to_owned());
        }
        if let Some(last) = lines.last_mut() {
            last.push_str(word);
        }
    }
    lines
}

/// The line's text as XML, with the outcomes of a row in colours.
fn coloured(line: &str) -> String {
    let mut text = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if line.starts_with(' ') {
        return text;
    }
    for (word, class) in [("works", "works"), ("refused", "stopped"), ("denied", "stopped")] {
        // A column's word has two blanks before it.
        let span = format!("  <tspan class=\"{class}\">{word}</tspan>");
        text = text.replace(&format!("  {word}"), &span);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_drawn_from_dockers_version_on() {
        let long = format!("   baseline: lockc: refused {}[a remedy]", "word ".repeat(40));
        let printed = ["boots", "Docker 1 on kernel <2>", "x  works  denied", &long];
        let svg = svg(&printed.map(str::to_owned));
        assert!(!svg.contains("boots") && !svg.contains("a remedy"), "{svg}");
        assert!(svg.contains("kernel &lt;2&gt;"), "{svg}");
        assert!(svg.contains("<tspan class=\"works\">works</tspan>"), "{svg}");
        assert!(svg.contains("<tspan class=\"stopped\">denied</tspan>"), "{svg}");
        assert_eq!(svg.matches("<text ").count(), 5, "{svg}");
    }
}
