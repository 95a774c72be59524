/// Fuzzing, with Jazzer: bytes that try to reach as much of the code as they can.
///
/// The targets are `CodecFuzz`, `ServerFuzz` and `ClientFuzz`, each in the package that it is
/// about. `FuzzTest` runs each for some seconds, beginning with the corpus in `src/test/fuzz`;
/// `-Dlockstep.fuzz.seconds=3600` makes it an hour each. A finding is left in `target/fuzz`, and
/// what reached something new in `target/fuzz/TARGET`; copy there from what is worth keeping.
@NullMarked
package dev.lockstep.nbd.fuzz;

import org.jspecify.annotations.NullMarked;
