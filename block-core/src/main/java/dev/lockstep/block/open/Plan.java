package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;

import java.util.List;

/// What is known of a node before anything is opened.
sealed interface Plan {
    /// The file at the bottom of it; empty if there is none, or if it is that of a node that is
    /// open already.
    String filename();

    /// A node whose options were read and found right.
    ///
    /// @param name its node name, or empty for one that the graph makes up
    /// @param edges the children that its options name
    /// @param implied the children that its image may name
    /// @param opening opens the device once the edges are connected
    record Known(
            String name,
            String driver,
            String filename,
            NodeOptions.Common common,
            List<Edge> edges,
            List<ImpliedEdge> implied,
            Opener.Opening opening)
            implements Plan {}

    /// An image whose format nobody named. Its options are read once its file was looked at.
    ///
    /// @param readOnly whether nothing is written to it, so that a guess does no harm
    /// @param read reads the options of the image, which has the format and the file of these names
    record Guessed(String filename, boolean readOnly, Edge file, ReadAs read) implements Plan {}

    /// Reads options as those of a driver.
    @FunctionalInterface
    interface ReadAs {
        /// Reads them.
        ///
        /// @param file the name of the node to be the driver's `file`
        Plan read(String driver, String file) throws BlockException;
    }
}
