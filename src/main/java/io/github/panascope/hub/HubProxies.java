package io.github.panascope.hub;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import javax.net.SocketFactory;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import okhttp3.OkHttpClient;

/** How a client goes through a proxy. */
final class HubProxies {
    private HubProxies() {}

    /** Makes a client go through a proxy and log in there, without a look at what the rest of this JVM does. */
    static void use(EnvironmentProxy.Server proxy, OkHttpClient.Builder client, SSLSocketFactory tls) {
        client.proxy(proxy.toProxy());
        if (proxy.isTls()) client.socketFactory(new TlsSocketFactory(tls));
        client.proxyAuthenticator((_, response) -> {
            // Asked once before the proxy is, and again if it refuses.
            boolean refused = response.challenges().stream()
                    .noneMatch(challenge -> challenge.scheme().equalsIgnoreCase("OkHttp-Preemptive"));
            if (refused) throw refused(proxy.toString());
            return proxy.authorization()
                    .map(value -> response.request()
                            .newBuilder()
                            .header("Proxy-Authorization", value)
                            .build())
                    .orElse(null);
        });
    }

    static HubHttp.FinalException refused(String proxy) {
        return new HubHttp.FinalException("the proxy " + proxy
                + " wants a user and a password, and got none that it takes: give both in the proxy's variable, "
                + "as http://USER:PASSWORD@HOST:PORT with % escapes for special characters");
    }

    /** Sockets that are encrypted from the beginning, to a proxy whose certificate has to be in its name. */
    private static final class TlsSocketFactory extends SocketFactory {
        private final SSLSocketFactory tls;

        TlsSocketFactory(SSLSocketFactory tls) {
            this.tls = tls;
        }

        @Override
        public Socket createSocket() throws IOException {
            SSLSocket socket = (SSLSocket) tls.createSocket();
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            return socket;
        }

        @Override
        public Socket createSocket(String host, int port) {
            throw new UnsupportedOperationException("only not connected ones");
        }

        @Override
        public Socket createSocket(String host, int port, InetAddress local, int localPort) {
            throw new UnsupportedOperationException("only not connected ones");
        }

        @Override
        public Socket createSocket(InetAddress host, int port) {
            throw new UnsupportedOperationException("only not connected ones");
        }

        @Override
        public Socket createSocket(InetAddress host, int port, InetAddress local, int localPort) {
            throw new UnsupportedOperationException("only not connected ones");
        }
    }
}
