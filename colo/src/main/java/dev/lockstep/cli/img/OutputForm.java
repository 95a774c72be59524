package dev.lockstep.cli.img;

/// How facts are printed.
enum OutputForm {
    /// For people.
    HUMAN,
    /// For programs.
    JSON
}
