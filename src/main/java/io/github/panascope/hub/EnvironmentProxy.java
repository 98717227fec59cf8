package io.github.panascope.hub;

import java.io.IOException;
import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Proxies by the variables that Python's requests obeys: {@code HTTPS_PROXY}, {@code HTTP_PROXY}, {@code ALL_PROXY} and {@code NO_PROXY}, in
 * either case. Without them, what Java was told ({@code -Dhttps.proxyHost}).
 */
final class EnvironmentProxy extends ProxySelector {
    private final Map<String, String> environment;

    private EnvironmentProxy(Map<String, String> environment) {
        this.environment = Map.copyOf(environment);
    }

    static EnvironmentProxy of(Map<String, String> environment) {
        return new EnvironmentProxy(environment);
    }

    private String variable(String name) {
        String value = environment.getOrDefault(name, environment.get(name.toLowerCase(Locale.ROOT)));
        return value == null || value.isBlank() ? null : value.strip();
    }

    private URI proxy(String scheme) {
        String value = variable(scheme.toUpperCase(Locale.ROOT) + "_PROXY");
        if (value == null) value = variable("ALL_PROXY");
        if (value == null) return null;
        try {
            URI uri = URI.create(value.contains("://") ? value : "http://" + value);
            if (uri.getHost() == null || !uri.getScheme().startsWith("http")) throw new IllegalArgumentException("no host");
            return uri;
        } catch (IllegalArgumentException e) {
            throw new InputException("the proxy for " + scheme + " is not an address such as http://host:8080.", e); // it may hold a password: not shown
        }
    }

    private boolean isDirect(String host) {
        String list = variable("NO_PROXY");
        if (list == null) return false;
        for (String entry : list.toLowerCase(Locale.ROOT).split("[\\s,]+")) {
            String suffix = entry.startsWith("*.") ? entry.substring(1) : entry;
            String name = host.toLowerCase(Locale.ROOT);
            if (entry.equals("*") || name.equals(suffix) || !suffix.isEmpty() && name.endsWith(suffix.startsWith(".") ? suffix : "." + suffix)) return true;
        }
        return false;
    }

    @Override
    public List<Proxy> select(URI address) {
        URI proxy = proxy(address.getScheme());
        if (proxy == null) return ProxySelector.getDefault() == null ? List.of(Proxy.NO_PROXY) : ProxySelector.getDefault().select(address);
        if (isDirect(address.getHost())) return List.of(Proxy.NO_PROXY);
        int port = proxy.getPort() > 0 ? proxy.getPort() : proxy.getScheme().equals("https") ? 443 : 80;
        return List.of(new Proxy(Proxy.Type.HTTP, InetSocketAddress.createUnresolved(proxy.getHost(), port)));
    }

    /** Answers proxies, and nobody else, with the user and password in their variable; empty if none has any. */
    Optional<Authenticator> authenticator() {
        List<URI> proxies = Stream.of("https", "http").map(this::proxy).filter(proxy -> proxy != null && proxy.getUserInfo() != null).toList();
        if (proxies.isEmpty()) return Optional.empty();
        return Optional.of(new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                if (getRequestorType() != RequestorType.PROXY) return null;
                return proxies.stream().filter(proxy -> proxy.getHost().equals(getRequestingHost())).findFirst().map(proxy -> {
                    String[] user = proxy.getUserInfo().split(":", 2);
                    return new PasswordAuthentication(user[0], (user.length > 1 ? user[1] : "").toCharArray());
                }).orElse(null);
            }
        });
    }

    @Override
    public void connectFailed(URI uri, SocketAddress address, IOException e) {
        // The request fails with the same exception.
    }
}
