/// The machine in a simulated world, and its tables.
@NullMarked
package dev.lockstep.colo.machine;

import org.jspecify.annotations.NullMarked;
