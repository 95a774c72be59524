package dev.lockstep.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;

import org.junit.jupiter.api.Test;

import java.util.List;

/// Every way of writing a disk is the same tree.
class ImageTextTest {
    @Test
    void a_comma_in_a_value_is_written_twice_and_the_last_value_counts() {
        Options tree = KeyValues.parse("a=1,b.c=x,,y,b.d=,a=2");
        assertEquals(new Option.Text("2"), tree.find("a"));
        assertEquals(new Option.Text("x,y"), tree.find("b.c"));
        assertEquals(new Option.Text(""), tree.find("b.d"));
        assertEquals(new Option.Text("t"), KeyValues.parse("t,id=x", "type").find("type"));
        for (String wrong : List.of("a", "=1", "a.=1", ".a=1", "a=1,a.b=2", "a=1,b")) {
            assertThrows(IllegalArgumentException.class, () -> KeyValues.parse(wrong), wrong);
        }
    }

    @Test
    void json_may_nest_or_dot_its_keys() {
        Options nested =
                JsonOptions.parse(
                        "{'driver':'raw','file':{'driver':'null-co','size':5,'read-only':true}}");
        Options dotted =
                JsonOptions.parse(
                        "{'driver':'raw','file.driver':'null-co','file.size':5,"
                                + "'file.read-only':true}");
        assertEquals(nested, dotted);
        assertEquals(new Option.Whole(5), nested.find("file.size"));
        assertEquals(new Option.Truth(true), nested.find("file.read-only"));
        assertEquals(new Option.Nothing(), JsonOptions.parse("{'backing':null}").find("backing"));
        for (String wrong : List.of("", "[]", "{", "{'a':1,'a':2}", "{'a':1,'a.b':2}", "{} {}")) {
            assertThrows(IllegalArgumentException.class, () -> JsonOptions.parse(wrong), wrong);
        }
    }

    @Test
    void a_file_name_says_which_protocol_it_is() {
        assertEquals(tree("file.driver=file,file.filename=a b"), ImageText.parse("a b"));
        assertEquals(tree("file.driver=file,file.filename=x:y"), ImageText.parse("file:x:y"));
        assertEquals(tree("file.driver=file,file.filename=./x:y"), ImageText.parse("./x:y"));
        assertEquals(tree("file.driver=null-co"), ImageText.parse("null-co://"));
        assertEquals(
                tree("file.driver=nbd,file.server.type=unix,file.server.path=/s,file.export=e"),
                ImageText.parse("nbd+unix:///e?socket=/s"));
        assertEquals(
                tree(
                        "file.driver=nbd,file.server.type=inet,file.server.host=h,"
                                + "file.server.port=10809,file.export="),
                ImageText.parse("nbd://h"));
        for (String wrong : List.of("", "file:", "foo:bar", "nbd+unix:///", "json:[]")) {
            IllegalArgumentException refused =
                    assertThrows(
                            IllegalArgumentException.class, () -> ImageText.parse(wrong), wrong);
            assertTrue(!refused.toString().isEmpty(), wrong);
        }
    }

    @Test
    void a_file_name_within_options_says_it_too() {
        assertEquals(
                tree("driver=raw,file.driver=null-co,file.size=1M"),
                ImageText.parseOptions("driver=raw,file.filename=null-co://,file.size=1M"));
        assertEquals(
                tree("file.driver=file,file.filename=x"), ImageText.parseOptions("filename=x"));
        assertEquals(
                ImageText.parseOptions("driver=raw,file.filename=x"),
                ImageText.parse("json:{\"driver\":\"raw\",\"file\":{\"filename\":\"x\"}}"));
    }

    private static Options tree(String keyValues) {
        return KeyValues.parse(keyValues);
    }
}
