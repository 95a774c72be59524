/// Tests of the secondary: its devices under concurrent histories, and its runtime driven by a
/// primary of the test's own.
@NullMarked
package dev.lockstep.colo.secondary;

import org.jspecify.annotations.NullMarked;
