/// The extension as its users use it, and the examples of the comments.
@NullMarked
package dev.lockstep.nbd.junit;

import org.jspecify.annotations.NullMarked;
