/// Tests of the primary side: the write policy under faults, and the copy behind a running guest.
@NullMarked
package dev.lockstep.colo.primary;

import org.jspecify.annotations.NullMarked;
