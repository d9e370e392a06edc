//! What is on the screen.

use std::time::Instant;

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};

use super::{
    super::{
        draw::{draw, text},
        keys::{Action, press},
        model::{Model, ProgramSort, Sort, View},
        sample::Cost,
    },
    container, denial, model, sample,
};

fn screen(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    let text = terminal.backend().to_string();
    // Each line stands in quotation marks.
    let lines = text.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

fn key(model: &mut Model, code: KeyCode) -> Action {
    press(model, KeyEvent::new(code, KeyModifiers::NONE))
}

fn keys(model: &mut Model, text: &str) {
    for character in text.chars() {
        assert_eq!(key(model, KeyCode::Char(character)), Action::Draw);
    }
}

#[test]
fn each_screen_at_80_and_200_columns() {
    let mut programs = model();
    programs.view = View::Programs;
    let mut help = model();
    help.help = true;
    for (model, width, height, expected) in [
        (&model(), 80, 16, include_str!("overview-80.txt")),
        (&model(), 200, 14, include_str!("overview-200.txt")),
        (&programs, 80, 10, include_str!("programs-80.txt")),
        (&programs, 200, 8, include_str!("programs-200.txt")),
        (&help, 80, 24, include_str!("help-80.txt")),
    ] {
        let screen = screen(model, width, height);
        assert_eq!(screen, expected.trim_end(), "{screen}");
    }
    let text = text(&model(), 80);
    assert_eq!(text, include_str!("once-80.txt").trim_end(), "{text}");
}

#[test]
fn no_screen_is_too_small() {
    for view in View::ALL {
        for help in [false, true] {
            let mut model = model();
            (model.view, model.help, model.scroll) = (view, help, 2);
            for (width, height) in (1..90).step_by(4).flat_map(|w| (1..9).map(move |h| (w, h))) {
                screen(&model, width, height);
            }
        }
    }
}

#[test]
fn nothing_that_a_container_chose_commands_the_terminal() {
    let start = Instant::now();
    let mut sample = sample(true, start);
    let evil = "a\u{1b}[2Jb\u{9b}31m\r\n\u{7}";
    // As they come from the maps and files: `denial` and `source` escape them.
    sample.denials = vec![denial(1, evil, "procfs", "x")];
    sample.containers.clear();
    let mut model = Model::new(Sort::Rate, evil, jiff::tz::TimeZone::UTC);
    model.update(sample);
    model.fail(format!("no {evil}"));
    for view in View::ALL {
        (model.view, model.typing) = (view, !model.typing);
        for text in [screen(&model, 120, 20), text(&model, 120)] {
            let control = text.chars().find(|it| it.is_control() && *it != '\n');
            assert_eq!(control, None, "{text:?}");
        }
    }
    model.filter.clear();
    assert!(text(&model, 200).contains(r"a\u{1b}[2Jb\u{9b}31m\r\n\u{7}"), "{}", text(&model, 200));
}

#[test]
fn containers_are_sorted_and_filtered() {
    let mut model = model();
    let names = |model: &Model| -> Vec<String> {
        let first = |row: &&super::super::model::Row| row.container.name[..2].to_owned();
        model.containers().iter().map(first).collect()
    };
    assert_eq!(names(&model), ["mo", "db", "we"]);
    for expected in [["db", "mo", "we"], ["db", "mo", "we"], ["db", "mo", "we"], ["mo", "db", "we"]]
    {
        keys(&mut model, "s");
        assert_eq!(names(&model), expected, "{:?}", model.sort);
    }
    keys(&mut model, "r");
    assert_eq!(names(&model), ["we", "db", "mo"]);
    keys(&mut model, "/MONITORq");
    assert!(screen(&model, 80, 16).contains("filter: MONITORq_"));
    key(&mut model, KeyCode::Backspace);
    key(&mut model, KeyCode::Enter);
    assert_eq!((names(&model), model.denials().len()), (vec!["mo".to_owned()], 1));
    key(&mut model, KeyCode::Esc);
    assert_eq!(names(&model).len(), 3);
}

#[test]
fn a_container_that_came_since_has_its_denials_as_rate() {
    let start = Instant::now();
    let mut model = Model::new(Sort::Rate, "", jiff::tz::TimeZone::UTC);
    model.update(sample(false, start));
    assert!(model.rate().is_none() && screen(&model, 80, 16).contains("- denials/s"));
    let mut second = sample(true, start);
    second.containers = vec![container(1, "web", "baseline", "enforce", 5)];
    let mut new = container(1, "new", "baseline", "enforce", 10);
    new.key.generation = 2;
    second.containers.push(new);
    model.update(second);
    let rates: Vec<f64> = model.containers().iter().filter_map(|row| row.rate).collect();
    assert_eq!(rates, [5.0, 0.0], "the counter of a slot that is used again goes backwards");
}

#[test]
fn a_denial_that_happens_again_takes_its_place_and_the_list_is_bounded() {
    let mut model = model();
    let start = Instant::now();
    let mut again = sample(true, start);
    let mut newer = denial(0, "web", "procfs", "sys/kernel/core_pattern");
    newer.count = 99;
    again.denials = vec![newer];
    model.update(again);
    let counts: Vec<u64> = model.denials().iter().map(|it| it.count).collect();
    assert_eq!(counts, [99, 57, 57]);
    let mut many = sample(true, start);
    many.denials = (0..3000).map(|n| denial(n, "web", "files", &format!("/{n}"))).collect();
    model.update(many);
    assert_eq!(model.denials().len(), 1000);
    assert_eq!(model.denials()[0].detail, "/0");
}

#[test]
fn programs_are_measured_only_while_they_are_shown() {
    let mut model = model();
    assert!(!model.wants_cost());
    for (code, wanted) in [
        (KeyCode::Tab, false),
        (KeyCode::Tab, true),
        (KeyCode::Char('p'), false),
        (KeyCode::Char('p'), true),
        (KeyCode::Tab, false),
        (KeyCode::BackTab, true),
        (KeyCode::Char('1'), false),
        (KeyCode::Char('3'), true),
    ] {
        key(&mut model, code);
        assert_eq!(model.wants_cost(), wanted, "{code:?} {:?}", model.view);
    }
    // What was counted before is of another time.
    assert!(screen(&model, 80, 10).contains("measuring ..."));
    keys(&mut model, "s");
    assert_eq!(model.program_sort, ProgramSort::Calls);
    let mut refused = sample(true, Instant::now());
    refused.cost = Cost::Unavailable("not permitted".into());
    model.update(refused);
    assert!(screen(&model, 80, 10).contains("not permitted"));
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let mut model = model();
    model.fail("lockc's programs are not loaded".into());
    let screen = screen(&model, 120, 12);
    assert!(screen.contains("UNKNOWN") && screen.contains("not loaded"), "{screen}");
    assert!(!screen.contains("restricted"), "{screen}");
    // The first sample after it has no rate: nobody knows what happened meanwhile.
    model.update(sample(true, Instant::now()));
    assert_eq!(model.rate(), None);
}

#[test]
fn the_keys_that_end_it_do_so_where_nothing_is_typed() {
    let mut model = model();
    let control = |code| KeyEvent::new(KeyCode::Char(code), KeyModifiers::CONTROL);
    keys(&mut model, "?/qqq");
    assert_eq!(model.filter, "qqq");
    assert_eq!(press(&mut model, control('c')), Action::Quit);
    assert_eq!(press(&mut model, control('l')), Action::Clear);
    assert_eq!(press(&mut model, control('z')), Action::Draw);
    assert_eq!(model.filter, "qqq");
    key(&mut model, KeyCode::Enter);
    assert_eq!(key(&mut model, KeyCode::Char('q')), Action::Quit);
    for code in [KeyCode::End, KeyCode::PageDown, KeyCode::Down] {
        key(&mut model, code);
    }
    assert_eq!(model.scroll, 0, "the filter leaves nothing to scroll");
}
