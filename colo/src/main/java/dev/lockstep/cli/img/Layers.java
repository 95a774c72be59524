package dev.lockstep.cli.img;

import dev.lockstep.block.Extent;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Node;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/// An image and the images below it, from the top: whose bytes are where.
///
/// @param nodes the image itself first
record Layers(List<Node> nodes) {

    /// Whose an extent is.
    ///
    /// @param index of the layer, 0 for the image itself
    /// @param present whether that layer has it; otherwise no layer has, and it reads as zeroes
    /// @param end up to where that is so
    record Owner(int index, boolean present, long end) {}

    static Layers of(OpenImage image) {
        List<Node> nodes = new ArrayList<>();
        @Nullable Node next = image.image();
        while (next != null) {
            nodes.add(next);
            Gate below = next.children().get("backing");
            next = below == null ? null : node(image, below);
        }
        return new Layers(List.copyOf(nodes));
    }

    /// The node behind an edge.
    static @Nullable Node node(OpenImage image, Gate edge) {
        return image.graph().nodes().stream()
                .filter(node -> node.device().equals(edge.device()))
                .findFirst()
                .orElse(null);
    }

    Node get(int index) {
        return nodes.get(index);
    }

    /// A raw image has all of its bytes; no hole of it lets a layer below through. What lies beyond
    /// the end of a layer that is too short is nobody's.
    Owner owner(Extent extent) {
        if (extent.depth() > 0 && nodes.get(extent.depth() - 1).device().size() > extent.offset()) {
            return new Owner(extent.depth() - 1, true, extent.end());
        }
        int index = 0;
        long end = extent.end();
        while (index + 1 < nodes.size() && nodes.get(index + 1).device().size() > extent.offset()) {
            index++;
            end = Math.min(end, nodes.get(index).device().size());
        }
        return new Owner(index, isRaw(index), end);
    }

    boolean isRaw(int index) {
        return Images.format(nodes.get(index)).equals("raw");
    }
}
