package io.github.panascope.hub;

import io.github.panascope.InputException;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.URLDecoder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import okhttp3.HttpUrl;

/**
 * Proxies named by the environment variables that Python's requests obeys, with its semantics: {@code https_proxy},
 * {@code http_proxy}, {@code all_proxy} and {@code no_proxy}, in lower or upper case; lower case takes precedence. The
 * value of a variable is parsed when a request needs it.
 */
final class EnvironmentProxy {
    /** Scheme, user and password, host, and port of a proxy; the rest of the address is ignored. */
    private static final Pattern ADDRESS = Pattern.compile("(?:([A-Za-z][A-Za-z0-9+.-]*)://|//)?+(?:([^/?#]*)@)?"
            + "(\\[[0-9A-Fa-f:.]+]|[^\\s:/?#@\\[\\]]+)(?::(\\d{1,5})?)?(?:[/?#].*)?");

    private static final Map<String, Integer> PORTS =
            Map.of("http", 80, "https", 443, "socks4", 1080, "socks4a", 1080, "socks5", 1080, "socks5h", 1080);

    /**
     * A proxy server.
     *
     * @param variable the environment variable that names the proxy, such as {@code http_proxy}
     * @param scheme   http, https, or a scheme that begins with socks
     * @param host     host name or address, without brackets
     * @param port     port number, 0 to 65535
     * @param user     user name, or null if none is given
     * @param password password, or null if none is given
     */
    record Server(String variable, String scheme, String host, int port, String user, String password) {
        boolean isSocks() {
            return scheme.startsWith("socks");
        }

        /** Returns whether the connection to the proxy is encrypted. */
        boolean isTls() {
            return scheme.equals("https");
        }

        Proxy toProxy() {
            return new Proxy(
                    isSocks() ? Proxy.Type.SOCKS : Proxy.Type.HTTP, InetSocketAddress.createUnresolved(host, port));
        }

        /** Returns the value of the Proxy-Authorization header; empty unless both a user and a password are given. */
        Optional<String> authorization() {
            if (user == null || user.isEmpty() || password == null) return Optional.empty();
            String both = user + ":" + password;
            Charset charset = StandardCharsets.ISO_8859_1.newEncoder().canEncode(both)
                    ? StandardCharsets.ISO_8859_1
                    : StandardCharsets.UTF_8;
            return Optional.of("Basic " + Base64.getEncoder().encodeToString(both.getBytes(charset)));
        }

        /** Returns the address for messages, without user and password. */
        @Override
        public String toString() {
            return scheme + "://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
        }
    }

    private final Map<String, String> environment;
    private final Map<String, String> proxies;

    private EnvironmentProxy(Map<String, String> environment) {
        this.environment = Map.copyOf(environment);
        this.proxies = proxies(environment);
    }

    static EnvironmentProxy of(Map<String, String> environment) {
        return new EnvironmentProxy(environment);
    }

    /**
     * Returns the values of all variables whose names end in {@code _proxy}, by the part of the name before that. A
     * variable in lower case replaces one in upper case; an empty variable in lower case removes it.
     */
    private static Map<String, String> proxies(Map<String, String> environment) {
        Map<String, String> found = new HashMap<>();
        environment.forEach((name, value) -> key(name.toLowerCase(Locale.ROOT))
                .filter(_ -> !value.isEmpty())
                .ifPresent(key -> found.put(key, value)));
        // A web server passes the header "Proxy:" of a request to its CGI scripts as HTTP_PROXY: not trusted there.
        if (environment.containsKey("REQUEST_METHOD")) found.remove("http");
        environment.forEach((name, value) -> key(name)
                .map(key -> key.toLowerCase(Locale.ROOT))
                .ifPresent(key -> {
                    if (value.isEmpty()) found.remove(key);
                    else found.put(key, value);
                }));
        return found;
    }

    private static Optional<String> key(String name) {
        return name.endsWith("_proxy")
                ? Optional.of(name.substring(0, name.length() - "_proxy".length()))
                : Optional.empty();
    }

    // ------------------------------------------------------------------------------------------------- which one

    /**
     * Selects the proxy for an address.
     *
     * @param address the address of the request
     * @return the proxy; empty if no variable names one or {@code no_proxy} excludes the address
     * @throws InputException if the value of the variable is not the address of a supported proxy
     */
    Optional<Server> select(HttpUrl address) {
        if (bypasses(address)) return Optional.empty();
        String host = address.host();
        return Stream.of(address.scheme() + "://" + host, address.scheme(), "all://" + host, "all")
                .filter(proxies::containsKey)
                .findFirst()
                .map(key -> server(key, proxies.get(key)));
    }

    private static Server server(String key, String value) {
        Matcher parts = ADDRESS.matcher(value);
        String scheme = parts.matches()
                ? parts.group(1) == null ? "http" : parts.group(1).toLowerCase(Locale.ROOT)
                : null;
        int port = scheme == null
                ? -1
                : parts.group(4) == null ? PORTS.getOrDefault(scheme, -1) : Integer.parseInt(parts.group(4));
        if (!PORTS.containsKey(scheme == null ? "" : scheme)
                || port < 0
                || port > 65535) { // the value is not shown, as it may hold a password
            throw new InputException("the proxy in " + key
                    + "_proxy is not an address such as http://host:8080; http, https and socks5 are understood.");
        }
        String[] user = parts.group(2) == null ? new String[0] : parts.group(2).split(":", 2);
        String host = parts.group(3).replaceAll("[\\[\\]]", "");
        Server server = new Server(
                key + "_proxy",
                scheme,
                host,
                port,
                user.length > 0 ? decoded(user[0]) : null,
                user.length > 1 ? decoded(user[1]) : null);
        if (server.isSocks() && server.authorization().isPresent()) {
            throw new InputException("the proxy in " + key
                    + "_proxy is a SOCKS proxy with a user and a password, which Java cannot log in to; use an"
                    + " http proxy.");
        }
        return server;
    }

    /** Decodes valid percent escapes; a plus sign and invalid escapes stay as they are. */
    private static String decoded(String text) {
        return URLDecoder.decode(
                text.replaceAll("%(?![0-9A-Fa-f]{2})", "%25").replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    // ------------------------------------------------------------------------------------------------- no_proxy

    /** Returns whether {@code no_proxy} excludes an address from the proxy. */
    boolean bypasses(HttpUrl address) {
        String host = address.host();
        String list = Stream.of("no_proxy", "NO_PROXY")
                .map(environment::get)
                .filter(value -> value != null && !value.isEmpty())
                .findFirst()
                .orElse("");
        List<String> entries = Stream.of(list.replace(" ", "").split(","))
                .filter(entry -> !entry.isEmpty())
                .toList();
        boolean explicitPort = address.port() != HttpUrl.defaultPort(address.scheme());
        OptionalLong ip = ipv4(host);
        for (String entry : entries) {
            if (ip.isPresent() && (inNetwork(ip.getAsLong(), entry) || host.equals(entry))) return true;
            if (ip.isEmpty() && (endsWith(host, entry) || explicitPort && endsWith(host + ":" + address.port(), entry)))
                return true;
        }
        // Python's urllib reads no_proxy by rules of its own, and requests asks it too.
        String names = proxies.get("no");
        if (names == null) return false;
        return names.equals("*")
                || Stream.of(names.split(","))
                        .map(name -> name.strip().toLowerCase(Locale.ROOT))
                        .anyMatch(name -> !name.isEmpty() && endsWith(host, name));
    }

    /**
     * Returns whether a host equals an entry or lies in the domain that the entry names; leading dots of the entry are
     * ignored.
     */
    private static boolean endsWith(String host, String entry) {
        String name = entry.replaceFirst("^\\.+", "");
        return host.equals(name) || host.endsWith("." + name);
    }

    /** Returns whether an IPv4 address lies in the network ADDRESS/BITS that an entry names. */
    private static boolean inNetwork(long ip, String entry) {
        String[] parts = entry.split("/", -1);
        if (parts.length != 2 || !parts[1].matches("\\+?\\d{1,9}")) return false;
        int bits = Integer.parseInt(parts[1]);
        OptionalLong network = ipv4(parts[0]);
        if (bits < 1 || bits > 32 || network.isEmpty()) return false;
        return ip >>> 32 - bits == network.getAsLong() >>> 32 - bits;
    }

    /**
     * Parses an IPv4 address in any form that inet_aton of C reads: one to four numbers in decimal, octal or
     * hexadecimal notation, of which the last fills the remaining bytes.
     */
    private static OptionalLong ipv4(String text) {
        String[] parts = text.split("\\.", -1);
        if (parts.length > 4) return OptionalLong.empty();
        long address = 0;
        for (int i = 0; i < parts.length; i++) {
            if (!parts[i].matches("0[xX][0-9a-fA-F]{1,8}|0[0-7]{0,11}|[1-9]\\d{0,9}")) return OptionalLong.empty();
            long number = Long.decode(parts[i]);
            int bytes = i < parts.length - 1 ? 1 : 4 - i;
            if (number >= 1L << 8 * bytes) return OptionalLong.empty();
            address |= number << 8 * (4 - i - bytes);
        }
        return OptionalLong.of(address);
    }
}
