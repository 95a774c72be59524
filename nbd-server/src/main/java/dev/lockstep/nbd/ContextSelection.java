package dev.lockstep.nbd;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/// The metadata contexts that a client selected, for one export by one name. They count only if
/// that name is used in the end, and still leads to that export.
///
/// @param name by which the export was asked for, or null as long as nothing was selected
/// @param export whose contexts they are
/// @param selected may be empty
public record ContextSelection(
        @Nullable String name, @Nullable Export export, List<Selected> selected) {
    /// Nothing is selected.
    static final ContextSelection NONE = new ContextSelection(null, null, List.of());

    /// One context that BLOCK_STATUS answers for.
    ///
    /// @param id what the connection calls it
    /// @param context what it tells
    public record Selected(int id, MetaContext context) {}

    /// Selects what the queries name exactly. Others select nothing, nor do contexts that need more
    /// bits than the client's headers have.
    static ContextSelection of(
            String name, Export export, HeaderStyle style, List<String> queries) {
        List<Selected> selected = new ArrayList<>();
        for (MetaContext context : export.contexts()) {
            if (fits(context, style) && queries.contains(context.name())) {
                selected.add(new Selected(selected.size() + 1, context));
            }
        }
        return new ContextSelection(name, export, List.copyOf(selected));
    }

    /// Answers LIST_META_CONTEXT.
    static List<OptionReply> listing(Export export, HeaderStyle style, List<String> queries) {
        List<OptionReply> replies = new ArrayList<>();
        boolean allFit = true;
        for (MetaContext context : export.contexts()) {
            if (queries.isEmpty() || queries.stream().anyMatch(query -> matches(context, query))) {
                replies.add(new OptionReply.MetaContext(0, context.name()));
                allFit &= fits(context, style);
            }
        }
        replies.add(
                allFit
                        ? new OptionReply.Ack()
                        : new OptionReply.Refusal(
                                NbdProtocol.REP_ERR_EXT_HEADER_REQD,
                                "one of these contexts needs extended headers"));
        return replies;
    }

    /// Answers SET_META_CONTEXT.
    List<OptionReply> replies() {
        List<OptionReply> replies = new ArrayList<>();
        for (Selected one : selected) {
            replies.add(new OptionReply.MetaContext(one.id, one.context.name()));
        }
        replies.add(new OptionReply.Ack());
        return replies;
    }

    /// What counts for a client that uses `used` in the end, asked for as `usedName`.
    List<Selected> forUse(String usedName, Export used) {
        return usedName.equals(name) && used.equals(export) ? selected : List.of();
    }

    private static boolean fits(MetaContext context, HeaderStyle style) {
        return style == HeaderStyle.EXTENDED || !context.isWide();
    }

    private static boolean matches(MetaContext context, String query) {
        return query.endsWith(":")
                ? context.name().startsWith(query)
                : context.name().equals(query);
    }
}
