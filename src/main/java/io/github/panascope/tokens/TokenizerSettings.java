package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.internal.TextFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * The settings files that Transformers keeps beside a vocabulary, and what Transformers makes of them: which tokens
 * begin, end and pad texts, tokens that the vocabulary does not have, and tokens that are put around texts. What would
 * change ids and is not supported is refused by name.
 */
final class TokenizerSettings {
    private static final String CONFIG = "tokenizer_config.json";
    private static final String ADDED = "added_tokens.json";
    private static final String SPECIAL = "special_tokens_map.json";
    static final String TEMPLATE = "chat_template.jinja";
    /** The names of the settings files; a model may lack each of them. */
    static final List<String> FILES = List.of(CONFIG, ADDED, SPECIAL);

    private static final List<String> ROLES =
            List.of("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token");
    /** Keys of lists of further special tokens; the second is Transformers 5's name for the first. */
    private static final List<String> MORE = List.of("additional_special_tokens", "extra_special_tokens");
    /** The classes that put a token before texts unless their settings say otherwise; and the default. */
    private static final Map<String, Boolean> PUTS_BOS =
            Map.of("Llama", true, "CodeLlama", true, "Gemma", true, "Cohere", true, "GPTNeoX", false);
    /** The special tokens of classes whose settings do not name them: bos, eos, unk and pad. */
    private static final Map<String, List<String>> DEFAULTS = Map.of(
            "Llama", List.of("<s>", "</s>", "<unk>", ""),
            "Gemma", List.of("<bos>", "<eos>", "<unk>", "<pad>"),
            "GPTNeoX", List.of("<|endoftext|>", "<|endoftext|>", "<|endoftext|>", ""),
            "GPT2", List.of("<|endoftext|>", "<|endoftext|>", "<|endoftext|>", ""),
            "Qwen2", List.of("", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>"));

    /** The order in which special tokens are added. */
    private static final List<String> ORDER =
            Stream.concat(ROLES.stream(), MORE.stream()).toList();

    private static final List<String> DEFAULT_ROLES = List.of("bos_token", "eos_token", "unk_token", "pad_token");

    /** Special tokens by their role or list, in Transformers' order; the value is a string or a description. */
    private final Map<String, List<AddedTokens.Added>> special = new LinkedHashMap<>();
    /** Special tokens that are given without a description. */
    private final Set<AddedTokens.Added> plain = Collections.newSetFromMap(new IdentityHashMap<>());
    /** Further tokens by their ids. */
    private final Map<Integer, AddedTokens.Added> added = new TreeMap<>();

    /** Whether the settings describe all added tokens, which those of older versions do not. */
    private boolean described;

    private String place = "";
    private String kind = "";
    private @Nullable Boolean addsBos;
    private boolean addsEos;
    private boolean addPrefixSpace;
    private boolean legacy = true;
    private @Nullable String chatTemplate;

    private TokenizerSettings() {}

    /**
     * Reads settings files.
     *
     * @param files files with names of {@link #FILES}, or {@code chat_template.jinja}
     * @throws InputException if one is malformed or has a setting that is not supported
     */
    static TokenizerSettings read(List<Path> files) {
        TokenizerSettings settings = new TokenizerSettings();
        Map<String, Path> byName = new LinkedHashMap<>();
        files.forEach(file -> byName.put(file.getFileName().toString(), file));
        settings.place = files.isEmpty() ? "" : files.getFirst().toString();
        if (byName.containsKey(CONFIG)) settings.readConfig(ConfigFile.read(byName.get(CONFIG)));
        if (!settings.described) { // files of older versions
            if (byName.containsKey(SPECIAL)) settings.readSpecial(ConfigFile.read(byName.get(SPECIAL)));
            if (byName.containsKey(ADDED)) settings.readAdded(ConfigFile.read(byName.get(ADDED)));
        }
        if (byName.containsKey(TEMPLATE)) settings.chatTemplate = TextFile.read(byName.get(TEMPLATE));
        List<String> defaults = DEFAULTS.getOrDefault(settings.kind, List.of());
        for (int i = 0; i < defaults.size(); i++)
            if (!defaults.get(i).isEmpty() && !settings.special.containsKey(DEFAULT_ROLES.get(i)))
                settings.special.put(DEFAULT_ROLES.get(i), List.of(settings.plain(defaults.get(i))));
        return settings;
    }

    private AddedTokens.Added plain(String content) {
        AddedTokens.Added token = new AddedTokens.Added(content, false, false, false, false, true);
        plain.add(token);
        return token;
    }

    private void readConfig(ConfigFile config) {
        place = config.place();
        kind = config.text("tokenizer_class", "").replaceAll("Tokenizer(Fast)?$", "");
        addPrefixSpace = config.flag("add_prefix_space", false);
        legacy = config.flag("legacy", true);
        if (config.has("add_prefix_space") && !addPrefixSpace && kind.contains("Llama"))
            throw config.wrong("add_prefix_space", "true or absent, as Transformers would build the tokenizer again");
        if (config.flag("split_special_tokens", false)) throw config.wrong("split_special_tokens", "false");
        if (config.has("add_bos_token")) addsBos = config.flag("add_bos_token", false);
        addsEos = config.flag("add_eos_token", false);
        readSpecial(config);
        described = config.has("added_tokens_decoder");
        config.object("added_tokens_decoder")
                .ifPresent(tokens -> tokens.keys().forEach(id -> {
                    if (!id.matches("\\d{1,8}"))
                        throw new InputException(tokens.place() + ": the key '" + id + "' should be an id.");
                    added.put(Integer.parseInt(id), described(tokens.place() + ": " + id, tokens.value(id)));
                }));
        JsonNode template = config.value("chat_template");
        if (template != null && template.isString()) chatTemplate = template.stringValue();
        if (template != null && template.isArray())
            for (JsonNode each : template)
                if (each.path("name").asString("").equals("default"))
                    chatTemplate = each.path("template").asString("");
    }

    private void readSpecial(ConfigFile file) {
        for (String role : ROLES) {
            JsonNode token = file.value(role);
            if (token == null) continue;
            if (token.isNull()) special.remove(role);
            else special.put(role, List.of(token(file.place() + ": " + role, token)));
            if (token.isNull()) special.put(role, List.of());
        }
        for (String key : MORE) {
            JsonNode more = file.value(key);
            if (more == null || more.isNull()) continue;
            if (!more.isContainer()) throw file.wrong(key, "a list of tokens");
            List<AddedTokens.Added> tokens = new ArrayList<>();
            for (JsonNode token : more) tokens.add(token(file.place() + ": " + key, token));
            special.put(key, tokens);
        }
    }

    /** Reads a special token, which is a string or an object with a string as its content. */
    private AddedTokens.Added token(String where, JsonNode token) {
        if (token.isString()) return plain(token.stringValue());
        return with(described(where, token), true);
    }

    private static AddedTokens.Added described(String where, JsonNode token) {
        ConfigFile described = ConfigFile.of(where, token);
        return TokenizerJson.added(described, !described.flag("special", false));
    }

    private void readAdded(ConfigFile file) {
        Set<String> specials = new HashSet<>();
        special.values().forEach(tokens -> tokens.forEach(token -> specials.add(token.content())));
        for (String content : file.keys()) {
            boolean isSpecial = specials.contains(content);
            int id = Tokenizer.id(file.place(), content, file.value(content));
            added.put(id, new AddedTokens.Added(content, false, false, false, !isSpecial, isSpecial));
        }
    }

    /** Returns the class of the tokenizer without the word Tokenizer; empty if none is named. */
    String kind() {
        return kind;
    }

    /** Returns whether a Llama tokenizer is converted with a sign before each part of a text. */
    boolean isLegacy() {
        return legacy;
    }

    /** Returns the names of the first three tokens of Gemma. */
    List<String> padEosBos() {
        List<String> names = new ArrayList<>();
        for (String role : List.of("pad_token", "eos_token", "bos_token")) {
            String name = content(role);
            if (name == null) throw new InputException(place + ": '" + role + "' should be the name of a token.");
            names.add(name);
        }
        return names;
    }

    /** Returns whether a space is put before texts, where the vocabulary's file has a setting for it. */
    boolean addPrefixSpace() {
        return addPrefixSpace;
    }

    /** Returns what changes if these settings belong to GPT-2; null if nothing does. */
    @Nullable
    String differsFromGpt2() {
        if (addPrefixSpace) return place + ": 'add_prefix_space' should be false, not true.";
        for (Map.Entry<String, List<AddedTokens.Added>> each : special.entrySet())
            for (AddedTokens.Added token : each.getValue())
                if (!isGpt2s(token)) return place + ": " + each.getKey() + " is '" + token.content() + "'.";
        for (Map.Entry<Integer, AddedTokens.Added> each : added.entrySet())
            if (!isGpt2s(each.getValue()) || each.getKey() != Tokenizer.gpt2().eos())
                return place + ": the token " + each.getKey() + " is '"
                        + each.getValue().content() + "'.";
        return chatTemplate == null && !addsEos && !(Boolean.TRUE.equals(addsBos) && PUTS_BOS.containsKey(kind))
                ? null
                : place + ": it has settings that GPT-2's tokenizer does not have.";
    }

    private static boolean isGpt2s(AddedTokens.Added token) {
        return token.content().equals(Gpt2Tokenizer.END_OF_TEXT)
                && !token.singleWord()
                && !token.lstrip()
                && !token.rstrip();
    }

    /** Returns a tokenizer with these settings. */
    Tokenizer apply(PipelineTokenizer tokenizer) {
        AddedTokens tokens = tokenizer.added().copy();
        Set<String> contents = new HashSet<>(tokens.ids().keySet());
        List<AddedTokens.Added> more = new ArrayList<>();
        Map<String, AddedTokens.Added> byContent = new LinkedHashMap<>();
        Set<String> specials = new HashSet<>();
        special.values().forEach(each -> each.forEach(token -> specials.add(token.content())));
        for (AddedTokens.Added token : added.values()) {
            byContent.put(token.content(), token);
            contents.add(token.content());
            boolean isSpecial = token.special() || specials.contains(token.content());
            if (!tokens.byId().containsValue(token)) more.add(with(token, isSpecial));
        }
        if (!described) tokens.byId().values().forEach(token -> byContent.put(token.content(), token));
        Set<String> seen = new HashSet<>();
        for (String role : ORDER)
            for (AddedTokens.Added token : special.getOrDefault(role, List.of())) {
                if (!seen.add(token.content())) continue;
                AddedTokens.Added known = byContent.get(token.content());
                if (known == null && plain.contains(token) && contents.contains(token.content())) continue;
                more.add(with(known == null ? token : known, true));
            }
        tokens.add(more);
        tokens.prepare(place, tokenizer.parts()::normalized);
        for (Map.Entry<Integer, AddedTokens.Added> each : added.entrySet()) {
            Integer id = tokens.ids().get(each.getValue().content());
            if (!each.getKey().equals(id))
                throw new InputException(
                        place + ": the id of '" + each.getValue().content() + "' is " + each.getKey() + " here, and "
                                + id + " in the vocabulary or after it.");
        }
        PipelineTokenizer.Roles roles = new PipelineTokenizer.Roles(
                content("bos_token"), content("eos_token"), content("pad_token"), chatTemplate);
        return new PipelineTokenizer(tokenizer.parts(), tokens, processor(tokenizer, tokens, roles), roles);
    }

    private static AddedTokens.Added with(AddedTokens.Added token, boolean isSpecial) {
        return new AddedTokens.Added(
                token.content(), token.singleWord(), token.lstrip(), token.rstrip(), token.normalized(), isSpecial);
    }

    private @Nullable String content(String role) {
        List<AddedTokens.Added> tokens = special.getOrDefault(role, List.of());
        return tokens.isEmpty() ? null : tokens.getFirst().content();
    }

    /** Returns what follows the model: some classes put bos and eos around texts, whatever the file says. */
    private PostProcessor processor(PipelineTokenizer tokenizer, AddedTokens tokens, PipelineTokenizer.Roles roles) {
        if (!PUTS_BOS.containsKey(kind)) return tokenizer.processor();
        boolean bos = addsBos == null ? PUTS_BOS.get(kind) : addsBos;
        return new PostProcessor(
                bos ? new int[] {id("bos_token", roles.bos(), tokenizer, tokens)} : new int[0],
                addsEos ? new int[] {id("eos_token", roles.eos(), tokenizer, tokens)} : new int[0],
                List.of());
    }

    private int id(String role, @Nullable String content, PipelineTokenizer tokenizer, AddedTokens tokens) {
        Integer id = content == null
                ? null
                : tokens.ids().getOrDefault(content, tokenizer.parts().ids().get(content));
        if (id == null)
            throw new InputException(place + ": texts begin or end with the " + role + ", which is '" + content
                    + "' and no token: name one, or set 'add_" + role + "' to false.");
        return id;
    }
}
