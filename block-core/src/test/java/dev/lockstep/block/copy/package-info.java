/// Tests of copies: every byte arrives, empty stays empty, and a failure is no half success.
@NullMarked
package dev.lockstep.block.copy;

import org.jspecify.annotations.NullMarked;
