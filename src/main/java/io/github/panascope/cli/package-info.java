/** The command line: picocli commands that walk the tutorial, test a prompt, and look at the installation. Not part of the library jar. */
package io.github.panascope.cli;
