/// The contract that every block device keeps, and what the tests of devices share.
@NullMarked
package dev.lockstep.block;

import org.jspecify.annotations.NullMarked;
