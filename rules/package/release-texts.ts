// The texts that a release changes.

/** `1.20.3`, as Semantic Versioning has it; a version that is being tried has no release. */
const version = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/;

export const isVersion = (text: string): boolean => version.test(text);

/** Less than 0 when `a` comes before `b`. */
export function compareVersions(a: string, b: string): number {
  const [one, other] = [a, b].map((text) => text.split('.').map(Number));
  const differing = one?.findIndex((number, at) => number !== other?.[at]) ?? -1;
  return differing < 0 ? 0 : (one?.[differing] ?? 0) - (other?.[differing] ?? 0);
}

const unreleased = '## [Unreleased]';

/**
 * A changelog in which the unreleased part becomes a version, and the text of that version. Throws when there is
 * nothing to release (keepachangelog.com).
 */
export function released(changelog: string, name: string, date: string): { changelog: string; notes: string } {
  const [before, after] = changelog.split(`\n${unreleased}\n`);
  if (before === undefined || after === undefined) {
    throw new Error(`CHANGELOG.md has no section "${unreleased}": write one, with the news of ${name}`);
  }
  const end = after.search(/^## /m);
  const notes = (end < 0 ? after : after.slice(0, end)).trim();
  if (!/^- /m.test(notes)) {
    throw new Error(`CHANGELOG.md says nothing below "${unreleased}": write the news of ${name}, a line each`);
  }
  const older = end < 0 ? '' : `\n${after.slice(end)}`;
  return { changelog: `${before}\n${unreleased}\n\n## [${name}] - ${date}\n\n${notes}\n${older}`, notes };
}

/** A page in which the package is named, with the package of another version. */
export const withPackage = (page: string, name: string): string =>
  page.replace(/hotseat_\d+\.\d+\.\d+-1_/g, `hotseat_${name}-1_`);

/** package.json or package-lock.json with another version of this package; its dependencies stay as they are. */
export function withVersion(manifest: string, name: string): string {
  const parsed = JSON.parse(manifest) as { version: string; packages?: Record<string, { version?: string }> };
  parsed.version = name;
  const own = parsed.packages?.[''];
  if (own !== undefined) own.version = name;
  return `${JSON.stringify(parsed, undefined, 2)}\n`;
}
