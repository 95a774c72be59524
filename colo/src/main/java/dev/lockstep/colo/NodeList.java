package dev.lockstep.colo;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.file.CacheMode;
import dev.lockstep.colo.Side.NodeInfo;
import dev.lockstep.qmp.Json;

import org.jspecify.annotations.Nullable;

import java.util.List;

/// The nodes of a side as `query-named-block-nodes` answers them: an array of the schema's
/// `BlockDeviceInfo`, each with all members that it requires.
record NodeList(List<NodeInfo> nodes) {
    private static final List<String> THROTTLES =
            List.of("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr");

    /// The array.
    ///
    /// @param flat leave out what the image of a node says of those that it lies over
    JsonNode toJson(boolean flat) {
        ArrayNode list = Json.array();
        for (NodeInfo node : nodes) {
            ObjectNode json = list.addObject();
            json.put("node-name", node.name())
                    .put("drv", node.driver())
                    .put("file", node.file())
                    .put("ro", false)
                    .put("backing_file_depth", depth(node))
                    .put("encrypted", false)
                    .put("detect_zeroes", "off")
                    .put("write_threshold", 0)
                    .put("active", true);
            NodeInfo backing = backing(node);
            if (backing != null) {
                json.put("backing_file", backing.file());
            }
            THROTTLES.forEach(limit -> json.put(limit, 0));
            json.putObject("cache")
                    .put("writeback", !node.cache().writeThrough())
                    .put("direct", node.cache().direct())
                    .put("no-flush", node.cache() == CacheMode.UNSAFE);
            json.set("image", image(node, flat));
        }
        return list;
    }

    private ObjectNode image(NodeInfo node, boolean flat) {
        ObjectNode image =
                Json.object()
                        .put("filename", node.file())
                        .put("format", node.driver())
                        .put("virtual-size", node.sizeBytes());
        NodeInfo backing = backing(node);
        if (backing != null) {
            image.put("backing-filename", backing.file());
            if (!flat) {
                image.set("backing-image", image(backing, false));
            }
        }
        return image;
    }

    private int depth(NodeInfo node) {
        NodeInfo backing = backing(node);
        return backing == null ? 0 : 1 + depth(backing);
    }

    private @Nullable NodeInfo backing(NodeInfo node) {
        return nodes.stream()
                .filter(other -> other.name().equals(node.backing()))
                .findFirst()
                .orElse(null);
    }
}
