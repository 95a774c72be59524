/// Tests of what both sides of a pair share.
@NullMarked
package dev.lockstep.colo;

import org.jspecify.annotations.NullMarked;
