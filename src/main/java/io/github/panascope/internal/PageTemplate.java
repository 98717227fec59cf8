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
 * An HTML page that loads nothing else: a template with placeholders such as {@code $TITLE}, which are filled in. The
 * placeholder {@code $POLICY} becomes a content security policy that forbids every request, and every script and style
 * except those that are inserted here. Placeholders within inserted content are not replaced.
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

    /**
     * Reads a template from the resources of a class.
     *
     * @param owner class beside which the template lies
     * @param name  file name of the template
     * @return a template without content
     */
    public static PageTemplate of(Class<?> owner, String name) {
        return new PageTemplate(resource(owner, name));
    }

    /**
     * Reads a text file from the resources of a class.
     *
     * @param owner class beside which the file lies
     * @param name  file name, or an absolute name in the class path
     * @return the text of the file, in UTF-8
     * @throws IllegalStateException if the class path does not contain the file
     */
    public static String resource(Class<?> owner, String name) {
        try (InputStream in = owner.getResourceAsStream(name)) {
            if (in == null) throw new IllegalStateException("the class path lacks " + name);
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@return the code of uPlot, which draws histograms} */
    public static String plotScript() {
        return resource(PageTemplate.class, UPLOT + "uPlot.iife.min.js");
    }

    /** {@return the style sheet of uPlot, which draws histograms} */
    public static String plotStyle() {
        return resource(PageTemplate.class, UPLOT + "uPlot.min.css");
    }

    /**
     * Inserts text, with markup characters escaped.
     *
     * @param place name of the placeholder, without the dollar sign
     * @param text  the text
     * @return this template
     */
    public PageTemplate text(String place, String text) {
        return markup(place, escaped(text));
    }

    /**
     * Inserts markup, which has to come from a trusted source.
     *
     * @param place  name of the placeholder, without the dollar sign
     * @param markup the markup, inserted unchanged
     * @return this template
     */
    public PageTemplate markup(String place, String markup) {
        places.put(place, markup);
        return this;
    }

    /**
     * Inserts a script between its tags, and adds it to the policy.
     *
     * @param place  name of the placeholder, without the dollar sign
     * @param script the code
     * @return this template
     */
    public PageTemplate script(String place, String script) {
        scripts.add(hash(script));
        return markup(place, script);
    }

    /**
     * Inserts a style sheet between its tags, and adds it to the policy.
     *
     * @param place name of the placeholder, without the dollar sign
     * @param style the style sheet
     * @return this template
     */
    public PageTemplate style(String place, String style) {
        styles.add(hash(style));
        return markup(place, style);
    }

    /**
     * Returns the page.
     *
     * @return the markup with all placeholders filled in
     * @throws IllegalStateException if a placeholder has no content
     */
    public String page() {
        return filled(template);
    }

    /**
     * Returns the page in two parts, for content at a placeholder that may be long and that the caller writes itself.
     *
     * @param place name of the placeholder, without the dollar sign
     * @return the markup before and after the placeholder
     * @throws IllegalStateException if another placeholder has no content
     */
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

    /** Returns the content security policy, with the hashes of the inserted scripts and styles. */
    private String policy() {
        return "default-src 'none'; script-src " + (scripts.isEmpty() ? "'none'" : String.join(" ", scripts))
                + "; style-src " + (styles.isEmpty() ? "'none'" : String.join(" ", styles))
                + "; base-uri 'none'; form-action 'none'";
    }

    /**
     * Escapes the special characters of markup, including those of attributes.
     *
     * @param text the text
     * @return the text as markup
     */
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
