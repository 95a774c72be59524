/// Tests of how disks are written.
@NullMarked
package dev.lockstep.image;

import org.jspecify.annotations.NullMarked;
