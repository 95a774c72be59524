/// The tables of `docs/replication-states.md`, shown cell by cell on running sides.
@NullMarked
package dev.lockstep.colo.cells;

import org.jspecify.annotations.NullMarked;
