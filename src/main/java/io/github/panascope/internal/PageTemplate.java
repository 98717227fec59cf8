package io.github.panascope.internal;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * An HTML page that asks for nothing else: a template with places such as {@code $TITLE}, filled in. At {@code $POLICY}
 * stands a content policy that forbids every request, and every script and style but those put in here. What is put in
 * is not looked through for places again.
 */
public final class PageTemplate {
    private static final String UPLOT = "/META-INF/resources/webjars/uplot/1.6.30/dist/";
    private static final Pattern PLACE = Pattern.compile("\\$([A-Z0-9_]+)");

    private final String template;
    private final Map<String, String> places = new LinkedHashMap<>();
    private final List<String> scripts = new ArrayList<>();
    private final List<String> styles = new ArrayList<>();

    private PageTemplate(String template) {
        this.template = template;
    }

    /** A template that lies beside a class. */
    public static PageTemplate of(Class<?> owner, String name) {
        return new PageTemplate(resource(owner, name));
    }

    /** Text of a file beside a class. */
    public static String resource(Class<?> owner, String name) {
        try (InputStream in = owner.getResourceAsStream(name)) {
            if (in == null) throw new IllegalStateException("the class path lacks " + name);
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** uPlot, which draws histograms: its code. */
    public static String plotScript() {
        return resource(PageTemplate.class, UPLOT + "uPlot.iife.min.js");
    }

    /** And its style. */
    public static String plotStyle() {
        return resource(PageTemplate.class, UPLOT + "uPlot.min.css");
    }

    /** Puts in text, which stays text. */
    public PageTemplate text(String place, String text) {
        return markup(place, escaped(text));
    }

    /** Puts in markup of the caller's own making. */
    public PageTemplate markup(String place, String markup) {
        places.put(place, markup);
        return this;
    }

    /** Puts a script between its tags, and allows it. */
    public PageTemplate script(String place, String script) {
        scripts.add(hash(script));
        return markup(place, script);
    }

    /** The same with a style. */
    public PageTemplate style(String place, String style) {
        styles.add(hash(style));
        return markup(place, style);
    }

    /** The page. */
    public String page() {
        return filled(template);
    }

    /** The page before and after a place that is filled by somebody else, since that may be long. */
    public String[] around(String place) {
        int at = template.indexOf("$" + place);
        return new String[] {filled(template.substring(0, at)), filled(template.substring(at + 1 + place.length()))};
    }

    private String filled(String part) {
        return PLACE.matcher(part).replaceAll(found -> {
            String place = found.group(1);
            String value = place.equals("POLICY") ? policy() : places.get(place);
            if (value == null) throw new IllegalStateException("nothing was put in at $" + place);
            return Matcher.quoteReplacement(value);
        });
    }

    private String policy() {
        return "default-src 'none'; script-src " + (scripts.isEmpty() ? "'none'" : String.join(" ", scripts))
                + "; style-src " + (styles.isEmpty() ? "'none'" : String.join(" ", styles))
                + "; base-uri 'none'; form-action 'none'";
    }

    /** Text as it stands in markup, in attributes too. */
    public static String escaped(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;");
    }

    private static String hash(String content) {
        try {
            return "'sha256-"
                    + Base64.getEncoder()
                            .encodeToString(MessageDigest.getInstance("SHA-256")
                                    .digest(content.getBytes(StandardCharsets.UTF_8)))
                    + "'";
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
