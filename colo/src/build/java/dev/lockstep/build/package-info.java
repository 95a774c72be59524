/// Programs that the build runs as they stand, each from its source file. Nothing of them is part
/// of Lockstep.
@NullMarked
package dev.lockstep.build;

import org.jspecify.annotations.NullMarked;
