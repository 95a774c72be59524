/// The house rules, kept by the build.
///
/// [Format] brings every source into one layout before anything is compiled; the tests of this
/// module check what a compiler does not: the length of methods and files, the direction of
/// dependencies between modules and packages, and calls that have a better replacement. Nothing
/// here ships.
@NullMarked
package dev.lockstep.tidy;

import org.jspecify.annotations.NullMarked;
