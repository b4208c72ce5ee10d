// A browser in front of the console, led by a test.
//
//   node browser.mjs SCENARIO JSON
//
// Runs one scenario with the parameters in JSON, and prints its result as one line of JSON. Ends with
// status 1 and a text if something is not as it must be. Chromium comes from the system.
//
// Every scenario fails if a page asks another host for anything, or reports a violation of its content
// policy, or opens a dialogue.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import crypto from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'

import { chromium } from 'playwright-core'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update']
const WAIT = 60_000

const [scenario, json] = process.argv.slice(2)
const given = JSON.parse(json)

/** What pages did that they must not do. */
const faults = []

/** Watches a context: requests to other hosts, violations of the content policy, dialogues. */
const watched = async (context, allowed = []) => {
  context.setDefaultTimeout(WAIT)
  context.on('request', (request) => {
    const { host } = new URL(request.url())
    if (host !== given.host && !allowed.includes(host)) faults.push(`request to ${request.url()}`)
  })
  context.on('console', (message) => {
    const text = message.text()
    if (/Content.Security.Policy|violates|TrustedHTML/i.test(text)) faults.push(text)
  })
  context.on('weberror', (error) => faults.push(`error of a script: ${error.error()}`))
  context.on('dialog', (dialog) => {
    faults.push(`dialogue: ${dialog.message()}`)
    dialog.dismiss()
  })
  return context
}

const browser = async (options = {}) => {
  const started = await chromium.launch({ executablePath: CHROMIUM, args: ARGS })
  const context = await watched(await started.newContext(options.context ?? {}), options.allowed)
  return { started, context }
}

/** A new one-time URL. */
const draw = () => {
  const [program, ...args] = given.draw
  return JSON.parse(execFileSync(program, args)).url
}

/** Opens the console in a new page. */
const login = async (context, url = given.url) => {
  const page = await context.newPage()
  const response = await page.goto(url)
  assert.equal(response.status(), 200)
  assert.equal(new URL(page.url()).pathname, '/', 'the URL of the token leads to the inbox')
  assert.equal(await page.title(), 'whisht')
  return page
}

/** Opens the page of files in a browser of its own, with JavaScript or without. */
const openFiles = async () => {
  const { started, context } = await browser({ context: { javaScriptEnabled: given.script } })
  const page = await login(context)
  await page.goto(new URL('/files', page.url()).href)
  return { started, page }
}

/** Loads a page again until `found` is true. Without JavaScript this is what the refresh does. */
const until = async (page, what, found, limit = 120_000) => {
  const end = Date.now() + limit
  while (Date.now() < end) {
    if (await found()) return
    await page.waitForTimeout(500)
    await page.reload()
  }
  throw new Error(`${what}: ${await page.locator('body').innerText()}`)
}

/** A request past the browser, with any headers. */
const raw = (method, path, headers, body = '') =>
  new Promise((resolve, reject) => {
    const request = http.request(
      { host: '127.0.0.1', port: given.port, method, path, headers: { 'Content-Length': body.length, ...headers } },
      (response) => {
        let text = ''
        response.on('data', (part) => (text += part))
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }))
        response.on('error', reject)
      },
    )
    request.on('error', reject)
    request.end(body)
  })

/** Runs in the page: whether nothing is wider than the window. */
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)

/** The lowest contrast of a text on the page, by the formula of WCAG 2. */
const contrast = (page) =>
  page.evaluate(() => {
    const parse = (text) => (text.match(/[\d.]+/g) ?? []).map(Number)
    const light = ([r, g, b]) => {
      const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
      return 0.2126 * x + 0.7152 * y + 0.0722 * z
    }
    const ground = (node) => {
      for (let at = node; at; at = at.parentElement) {
        const colour = parse(getComputedStyle(at).backgroundColor)
        if (colour.length === 3 || colour[3] === 1) return colour
      }
      return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255]
    }
    let worst = { ratio: 21, text: '' }
    for (const node of document.querySelectorAll('body *')) {
      const own = Array.from(node.childNodes).some((child) => child.nodeType === 3 && child.data.trim())
      if (!own || node.closest('[disabled]') || !node.checkVisibility()) continue
      const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))]
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
      if (ratio < worst.ratio) worst = { ratio, text: node.textContent.trim().slice(0, 40) }
    }
    return worst
  })

const scenarios = {
  /** From a request to an answer: with JavaScript, or without. The one-time URL opens one session. */
  async journalist() {
    const { started, context } = await browser({ context: { javaScriptEnabled: given.script } })
    const page = await login(context)
    const cookies = await context.cookies()
    assert.equal(cookies.length, 1)
    assert.equal(cookies[0].httpOnly, true)
    assert.equal(cookies[0].sameSite, 'Strict')
    assert.equal((await raw('GET', new URL(given.url).pathname, { Host: given.host })).status, 410, 'second use')

    await until(page, 'a request arrives', () => page.locator('a.request').count())
    assert.ok(!(await page.content()).includes(given.text), 'the text of a request is not in the inbox')
    await page.click('a.request')
    assert.equal(await page.locator('.message .text').first().textContent(), given.text)
    await page.fill('input[name=name]', given.name)
    await page.click('button:has-text("Accept")')
    await page.waitForSelector('.notice')
    assert.equal(await page.locator('h1').textContent(), given.name)

    await page.fill('textarea', given.reply)
    await page.check('input[name=level][value=normal]')
    await page.click('button[value=price]')
    await page.waitForSelector('.notice:has-text("prices below")')
    assert.equal(await page.inputValue('textarea'), given.reply.replaceAll('\r\n', '\n'), 'the text is kept')
    for (const column of ['From this node', 'Over all hops']) {
      const price = await page.locator(`tr:has(input[value=normal]) td[data-label="${column}"]`).innerText()
      assert.match(price, /^\d+ K?B$/, column)
    }
    await page.click('button[value=send]')
    await page.waitForSelector('.message.own')
    await until(page, 'the network has the answer', async () =>
      /came back|answered/.test(await page.locator('.message.own .stage').last().innerText()))
    const outbox = await page.goto(new URL('/outbox', page.url()).href)
    assert.equal(outbox.status(), 200)
    await started.close()
    return {}
  },

  /** Accepts the offered file. */
  async acceptFile() {
    const { started, page } = await openFiles()
    await until(page, 'a file is offered', () => page.locator('button:has-text("Accept")').count())
    await page.click('button:has-text("Accept")')
    await until(page, 'the answer is given', async () => !(await page.locator('button:has-text("Accept")').count()))
    await started.close()
    return {}
  },

  /** Waits for the accepted file and saves it. Returns its hash. */
  async saveFile() {
    const { started, page } = await openFiles()
    await until(page, 'the file has arrived', () => page.locator('a:has-text("Save")').count(), 400_000)
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('a:has-text("Save")')])
    const content = fs.readFileSync(await download.path())
    await started.close()
    return { sha256: crypto.createHash('sha256').update(content).digest('hex') }
  },

  /** With JavaScript: a message appears in the open page, and what is being typed stays. */
  async live() {
    const { started, context } = await browser()
    const page = await login(context)
    await page.click(`a:has-text("${given.name}")`)
    await page.fill('textarea', 'half a thought')
    await page.evaluate(() => (window.isSamePage = true))
    process.stdout.write(`${JSON.stringify({ ready: true })}\n`)
    await page.waitForFunction((text) => document.querySelector('#messages').textContent.includes(text), given.text)
    assert.equal(await page.evaluate(() => window.isSamePage), true, 'the page was not loaded again')
    assert.equal(await page.inputValue('textarea'), 'half a thought')
    await started.close()
    return {}
  },

  /** Texts that another person wrote to break the page. */
  async inert() {
    const { started, context } = await browser({ context: { javaScriptEnabled: given.script } })
    const page = await login(context)
    await page.click(`a:has-text("${given.name}")`)
    const texts = await page.locator('.message .text').allTextContents()
    for (const text of given.texts) assert.ok(texts.includes(text), `shown as it was written: ${text.slice(0, 60)}`)
    assert.equal(await page.locator('.message .text *').count(), 0, 'no element comes from a text')
    assert.equal(await page.locator('.message script, .message img, .message iframe').count(), 0)
    assert.ok(await fits(page), 'a long line does not widen the page')
    assert.equal(await page.title(), 'whisht')
    await started.close()
    return {}
  },

  /** Stars the conversation, and erases the message that begins with a text. */
  async manage() {
    const { started, context } = await browser({ context: { javaScriptEnabled: given.script } })
    const page = await login(context)
    const star = page.locator(`li:has(a:has-text("${given.name}")) button.star`)
    assert.equal(await star.getAttribute('aria-pressed'), 'false')
    await star.click()
    assert.equal(await star.getAttribute('aria-pressed'), 'true')

    await page.click(`a:has-text("${given.name}")`)
    await page.click('summary')
    await page.click('a:has-text("Select messages")')
    await page.locator(`li:has-text("${given.text}") input[type=checkbox]`).check()
    await page.click('button:has-text("Erase"):not(:has-text("conversation"))')
    assert.equal(await page.locator('h1').textContent(), 'Erase these messages?')
    assert.ok((await page.locator('main li').allTextContents()).join().includes(given.text), 'the page asks with the text')
    await page.click('button.danger')
    await page.waitForSelector('.notice:has-text("erased")')
    assert.equal(await page.locator(`.message:has-text("${given.text}")`).count(), 0)

    // A conversation is erased after a question too; here the user keeps it.
    await page.goto(new URL('/?select=true', page.url()).href)
    await page.locator(`label:has-text("${given.name}") input`).check()
    await page.click('button[value=erase]')
    assert.equal(await page.locator('h1').textContent(), 'Erase these conversations?')
    await page.click('a:has-text("Keep")')
    assert.equal(await page.locator(`a:has-text("${given.name}")`).count(), 1)
    await started.close()
    return {}
  },

  /** Pictures of all pages and conversations: light, dark, at 200 % zoom, and on a narrow screen. */
  async pictures() {
    const screens = {
      light: { viewport: { width: 1280, height: 900 } },
      dark: { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
      zoom: { viewport: { width: 512, height: 384 }, deviceScaleFactor: 2 },
      narrow: { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 },
    }
    for (const [screen, options] of Object.entries(screens)) {
      const { started, context } = await browser({ context: options })
      const page = await login(context, draw())
      const listed = await page.$$eval('a.open', (links) => links.map((link) => link.getAttribute('href')))
      for (const way of [...given.pages, '/?select=true', ...listed, ...listed.map((way) => `${way}?select=true`)]) {
        await page.goto(new URL(way, page.url()).href)
        assert.ok(await fits(page), `${way} fits (${screen})`)
        const file = `${way.replaceAll(/[^a-z0-9]+/g, '-')}-${screen}.png`
        await page.screenshot({ path: path.join(given.shots, file), fullPage: true })
      }
      await started.close()
    }
    return {}
  },

  /** Pages on other ports, other names, and requests without a session. */
  async attacks() {
    const seen = []
    const other = http.createServer((request, response) => {
      seen.push(request.headers)
      response.writeHead(200, { 'Content-Type': 'text/html' })
      response.end(`<form method=post action="http://${given.host}/contacts/add">
        <input name=address value=x><input name=name value=forged><input name=token value=${given.guess}>
        <button>x</button></form>`)
    })
    other.listen(0, '0.0.0.0')
    await new Promise((resolve) => other.once('listening', resolve))
    const port = other.address().port
    const name = given.host.split(':')[0]
    const allowed = [`127.0.0.1:${port}`, `localhost:${port}`, `${name}:${port}`]
    const { started, context } = await browser({ allowed })
    const page = await login(context)
    const [cookie] = await context.cookies()

    for (const host of allowed) {
      seen.length = 0
      await page.goto(`http://${host}/`)
      // A page that knows the random name is of the same host, and gets the cookie: the name is a secret.
      if (!host.startsWith(name)) assert.equal(seen[0].cookie, undefined, `no cookie goes to ${host}`)
      const fetched = await page.evaluate(async (url) => {
        try {
          return (await fetch(url, { credentials: 'include' })).status
        } catch {
          return 'refused'
        }
      }, `http://${given.host}/`)
      assert.equal(fetched, 'refused', `a script of ${host} reads nothing`)
      const answered = page.waitForResponse((response) => response.url().endsWith('/contacts/add'))
      await page.click('button')
      assert.equal((await answered).status(), 403, `a form of ${host}`)
    }

    const session = { Cookie: `whisht=${cookie.value}` }
    const own = { Host: given.host, ...session }
    const status = async (...request) => (await raw(...request)).status
    assert.equal(await status('GET', '/', own), 200)
    for (const host of [`evil.example:${given.port}`, `127.0.0.1:${given.port}`, `localhost:${given.port}`]) {
      assert.equal(await status('GET', '/', { ...own, Host: host }), 421, host)
      assert.equal(await status('GET', new URL(given.url).pathname, { Host: host }), 421, host)
    }
    for (const page of ['/', '/events', '/c/1', '/outbox', '/send', '/nothing']) {
      assert.equal(await status('GET', page, { Host: given.host }), 403, `${page} without a session`)
      assert.equal(await status('GET', page, { ...own, Cookie: `whisht=${'0'.repeat(64)}` }), 403, page)
    }
    const form = { ...own, 'Content-Type': 'application/x-www-form-urlencoded' }
    const origin = `http://${given.host}`
    const fields = 'address=shh1&name=forged'
    assert.equal(await status('POST', '/contacts/add', form, fields), 403, 'no origin')
    assert.equal(await status('POST', '/contacts/add', { ...form, Origin: 'null' }, fields), 403)
    assert.equal(await status('POST', '/contacts/add', { ...form, Origin: origin }, fields), 403, 'no form token')
    const guessed = `${fields}&token=${given.guess}`
    assert.equal(await status('POST', '/contacts/add', { ...form, Origin: origin }, guessed), 403, 'a guess')
    const site = { ...form, Origin: origin, 'Sec-Fetch-Site': 'same-site' }
    const [, token] = (await raw('GET', '/send', own)).text.match(/name="token" value="([0-9a-f]+)"/)
    assert.equal(await status('POST', '/contacts/add', site, `${fields}&token=${token}`), 403, 'same site')
    const right = { ...form, Origin: origin, 'Sec-Fetch-Site': 'same-origin' }
    assert.equal(await status('POST', '/contacts/add', right, `${fields}&token=${token}`), 422, 'a bad address')
    const large = `${fields}&token=${token}&x=${'x'.repeat(140_000)}`
    assert.equal(await status('POST', '/contacts/add', right, large), 413)
    const headers = (await raw('GET', '/', own)).headers
    assert.equal(headers['cache-control'], 'no-store')
    assert.match(headers['content-security-policy'], /^default-src 'none';.*trusted-types 'none'$/)
    other.close()
    await started.close()
    return {}
  },

  /** After a session has ended, nothing of it is shown or left in the profile. */
  async ended() {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'console-profile-'))
    const context = await watched(
      await chromium.launchPersistentContext(profile, {
        executablePath: CHROMIUM,
        args: ARGS,
        javaScriptEnabled: given.script,
      }),
    )
    const page = await login(context)
    await page.goto(new URL('/send', page.url()).href)
    assert.ok((await page.content()).includes(given.secret), 'the page shows what must not stay')
    await page.goto(new URL('/outbox', page.url()).href)
    // Four further sessions end this one.
    for (let count = 0; count < 4; count += 1) {
      const other = await raw('GET', new URL(draw()).pathname, { Host: given.host })
      assert.equal(other.status, 303)
    }
    const back = await page.goBack()
    if (back) assert.equal(back.status(), 403, 'the back button asks again')
    assert.ok(!(await page.content()).includes(given.secret), 'the back button shows nothing')
    await context.close()
    const left = []
    for (const entry of fs.readdirSync(profile, { recursive: true, withFileTypes: true })) {
      const file = path.join(entry.parentPath, entry.name)
      if (entry.isFile() && fs.readFileSync(file).includes(given.secret)) left.push(file)
    }
    fs.rmSync(profile, { recursive: true, force: true })
    assert.deepEqual(left, [], 'the profile contains nothing of the pages')
    return {}
  },

  /** Contrast in both schemes, 200 % zoom, and the way to a contact by keyboard alone. */
  async access() {
    const worst = {}
    for (const colorScheme of ['light', 'dark']) {
      // 200 % zoom of a window of 1,024 pixels is a window of 512 pixels.
      const size = { width: 512, height: 384 }
      const { started, context } = await browser({ context: { colorScheme, viewport: size, deviceScaleFactor: 2 } })
      const page = await login(context, draw())
      for (const way of given.pages) {
        await page.goto(new URL(way, page.url()).href)
        assert.ok(await fits(page), `${way} fits at 200 %`)
        const found = await contrast(page)
        assert.ok(found.ratio >= 4.5, `${colorScheme} ${way}: ${found.ratio} of "${found.text}"`)
        worst[`${colorScheme} ${way}`] = Math.round(found.ratio * 10) / 10
      }
      if (colorScheme === 'dark') await byKeyboard(page)
      await started.close()
    }
    return { worst }
  },

  /** Pages that fit a window of 1,024 x 768, in both colour schemes. */
  async screen() {
    for (const colorScheme of ['light', 'dark']) {
      const { started, context } = await browser({ context: { colorScheme, viewport: { width: 1024, height: 768 } } })
      const page = await login(context, draw())
      for (const way of given.pages) {
        await page.goto(new URL(way, page.url()).href)
        const height = await page.evaluate(() => document.documentElement.scrollHeight)
        if (given.shots) {
          const file = `${colorScheme}${way.replaceAll('/', '-')}.png`
          await page.screenshot({ path: path.join(given.shots, file), fullPage: true })
        }
        assert.ok(height <= 768 && (await fits(page)), `${way} fits one screen: ${height} pixels high`)
        assert.ok((await page.locator('svg.picture').count()) > 0, `${way} has pictures`)
      }
      await started.close()
    }
    return {}
  },

  /** Sends forms one after the other until the node is gone. Prints the number of each accepted one. */
  async flood() {
    const session = (await raw('GET', new URL(given.url).pathname, { Host: given.host })).headers['set-cookie'][0]
    const own = { Host: given.host, Cookie: session.split(';')[0] }
    await raw('GET', '/', own)
    const accepted = []
    process.stdout.write(`${JSON.stringify({ ready: true })}\n`)
    let number = 0
    try {
      for (; number < 400; number += 1) {
        const { text } = await raw('GET', '/c/1', own)
        const [, token] = text.match(/name="token" value="([0-9a-f]+)"/)
        const [, submission] = text.match(/name="submission" value="([0-9a-f]+)"/)
        const fields = new URLSearchParams({ token, submission, action: 'send', level: 'normal', text: `flood ${number}` })
        const headers = { ...own, Origin: `http://${given.host}`, 'Content-Type': 'application/x-www-form-urlencoded' }
        const sent = raw('POST', '/c/1/send', headers, fields.toString())
        // The browser sends the form a second time, as after a double click.
        const twice = raw('POST', '/c/1/send', headers, fields.toString())
        const outcomes = await Promise.allSettled([sent, twice])
        const stored = outcomes.filter(({ value }) => value?.status === 303)
        if (stored.some(({ value }) => value.headers.location.endsWith('stored'))) accepted.push(number)
        if (outcomes.some(({ status }) => status === 'rejected')) break
      }
    } catch {
      // The node is gone.
    }
    return { accepted, tried: number }
  },
}

/** Adds a contact with the keyboard alone. */
const byKeyboard = async (page) => {
  await page.goto(new URL('/', page.url()).href)
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip')
  const reach = async (selector) => {
    for (let presses = 0; presses < 60; presses += 1) {
      if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return
      await page.keyboard.press('Tab')
    }
    throw new Error(`${selector} cannot be reached with the keyboard`)
  }
  await reach('nav a[href="/send"]')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/send')
  await reach('#address')
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
  assert.notEqual(outline, 'none', 'the focus can be seen')
  await page.keyboard.type('shh1wrong')
  await reach('#name')
  await page.keyboard.type('by keyboard')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/contacts/add')
  assert.equal(await page.locator('.error').count(), 1, await page.locator('body').innerText())
  assert.equal(await page.inputValue('#name'), 'by keyboard')
}

const result = await scenarios[scenario]()
assert.deepEqual(faults, [])
process.stdout.write(`${JSON.stringify({ done: true, ...result })}\n`)
process.exit(0)
