package io.github.panascope.tokens;

import io.github.panascope.internal.ConfigFile;

/** Writes a visible sign instead of each space, puts one before a text, and splits before each of them. */
record MetaspaceStep(String sign, Scheme scheme, boolean splits) implements PreTokenizer {
    /** Which texts get a sign before them. */
    enum Scheme {
        ALWAYS,
        /** Only what the whole text begins with. */
        FIRST,
        NEVER
    }

    static MetaspaceStep read(ConfigFile step) {
        StepSettings.requireKeys(step, "type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep");
        String sign = step.text("replacement");
        if (sign.codePointCount(0, sign.length()) != 1) throw step.wrong("replacement", "one character");
        Scheme scheme = switch (step.text("prepend_scheme", "always")) {
            case "always" -> Scheme.ALWAYS;
            case "first" -> Scheme.FIRST;
            case "never" -> Scheme.NEVER;
            default -> throw step.wrong("prepend_scheme", "'always', 'first' or 'never'");
        };
        if (!step.flag("add_prefix_space", true) && scheme != Scheme.NEVER)
            throw step.wrong("add_prefix_space", "true, unless 'prepend_scheme' is 'never'");
        return new MetaspaceStep(sign, scheme, step.flag("split", true));
    }

    @Override
    public void split(AlignedText text, int from, int to, Pieces pieces) {
        AlignedText part = replaced(text.slice(from, to));
        boolean begins = part.string(0, Math.min(sign.length(), part.length)).equals(sign);
        if (!begins && (scheme == Scheme.ALWAYS || scheme == Scheme.FIRST && part.start(0) == 0))
            part = new AlignedText.Builder(part)
                    .add(sign, 0)
                    .copy(0, part.length)
                    .build();
        int start = 0;
        if (splits) {
            String all = part.toString();
            for (int at = all.indexOf(sign, 1); at >= 0; at = all.indexOf(sign, at + sign.length())) {
                pieces.accept(part, start, at);
                start = at;
            }
        }
        pieces.accept(part, start, part.length);
    }

    private AlignedText replaced(AlignedText part) {
        if (sign.length() == 1) {
            char[] chars =
                    part.string(0, part.length).replace(' ', sign.charAt(0)).toCharArray();
            return part.with(chars);
        }
        AlignedText.Builder made = new AlignedText.Builder(part);
        int done = 0;
        for (int at = 0; at < part.length; at++) {
            if (part.chars[at] != ' ') continue;
            made.copy(done, at).add(sign, at);
            done = at + 1;
        }
        return made.copy(done, part.length).build();
    }
}
