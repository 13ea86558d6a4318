//! Names from several languages, the frequent ones first, and how their bearers write their e-mail addresses.

use unicode_normalization::UnicodeNormalization;

use super::dice::Dice;

/// A name and the same in the letters of an e-mail address.
pub struct Name {
    pub first: String,
    pub last: String,
    pub latin_first: String,
    pub latin_last: String,
}

/// Names of one language, separated by blanks, the most frequent first. A name in other letters is followed by `=` and
/// its Latin form. Rare family names are made of a stem and an ending.
struct Language {
    /// Of a thousand people.
    share: u64,
    given: &'static str,
    family: &'static str,
    stems: &'static str,
    endings: &'static str,
    /// People who have two given names, of a hundred.
    two_given: u64,
    /// Whether people have the family names of both parents.
    two_families: bool,
}

/// Of a hundred people with a language that makes rare names, so many have one.
const RARE: u64 = 55;

#[rustfmt::skip]
const LANGUAGES: &[Language] = &[
    Language {
        share: 260, two_given: 12, two_families: false,
        given: "James Mary Michael Anna John Emma Robert Olivia David Emily William Sarah Daniel Jessica Matthew Hannah \
            Joseph Laura Thomas Grace Christopher Rachel Andrew Elizabeth Joshua Megan Ryan Amy Benjamin Rebecca Samuel \
            Lauren Jack Chloe Adam Sophie Luke Katherine Nathan Alice Oliver Ruth George Joanna Henry Susan Edward Claire",
        family: "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Thomas Moore Martin Jackson \
            Thompson White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott Hill Green Adams Baker \
            Nelson Carter Mitchell Roberts Turner Phillips Campbell Parker Evans Edwards Collins Stewart Morris Murphy \
            Cook Rogers Morgan Cooper Reed Bailey Bell Kelly Howard Ward Storm Swan",
        stems: "Ash Black Brad Brook Burn Clay Clif Crow Dal East Elm Fair Farn Glen Green Had Hal Haw Hazel High Hol \
            Horn Kirk Lang Law Lin Long Mar Mill Mor Nor Oak Pres Rad Red Rock Rush Shel Stan Stock Thorn Wal West Whit \
            Win Wood",
        endings: "ford ton well ley field wood worth by brook burn combe cott den ham hurst land man more ridge shaw \
            stone wick",
    },
    Language {
        share: 120, two_given: 20, two_families: false,
        given: "Anna Peter Sabine Thomas Michael Maria Andreas Julia Stefan Lena Christian Katharina Markus Sandra \
            Martin Nicole Daniel Lea Jan Laura Tobias Sophie Florian Hannah Felix Johanna Lukas Jana Jonas Sarah Jürgen \
            Heike Wolfgang Renate Klaus Ursula Günther Bärbel Jörg Käthe Maximilian Emilia",
        family: "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter \
            Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Schmitt Werner Krause \
            Meier Lehmann Köhler Huber Kaiser Fuchs Peters Lang Scholz Möller Weiß Jung Hahn Vogel Groß Sommer",
        stems: "Alten Berg Birken Buch Busch Dorn Eber Eich Falken Feld Frei Gold Grün Hagen Hasel Hoch Holz Kalten \
            Kirch Linden Lauter Mühl Neu Nuss Ober Reichen Rosen Roth Sauer Schön Silber Stein Stern Stolz Tannen Unter \
            Wald Weiden Winter Ziegel",
        endings: "mann er bach hofer meier stein thal berger dorfer haus huber mayer müller wald auer brenner egger",
    },
    Language {
        share: 110, two_given: 25, two_families: true,
        given: "María José Carmen Antonio Ana Juan Laura Manuel Lucía Francisco Marta David Cristina Javier Elena Daniel \
            Paula Carlos Sara Miguel Raquel Alejandro Isabel Rafael Silvia Pedro Rosa Pablo Pilar Ángel Andrea Sergio \
            Irene Fernando Nuria Jorge Alba Luis Rocío Alberto Sofía Álvaro Inés Diego",
        family: "García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Hernández Ruiz \
            Díaz Moreno Muñoz Álvarez Romero Gutiérrez Alonso Navarro Torres Domínguez Ramos Vázquez Ramírez Gil Serrano \
            Molina Blanco Morales Suárez Ortega Castro Delgado Ortiz Marín Rubio Núñez Medina Sanz Castillo Iglesias \
            Garrido",
        stems: "", endings: "",
    },
    Language {
        share: 70, two_given: 18, two_families: false,
        given: "Marie Jean Camille Pierre Léa Michel Manon Nicolas Chloé Philippe Emma Julien Julie Thomas Sarah Antoine \
            Pauline Alexandre Claire Hugo Mathilde Louis Anaïs François Hélène Benoît Élodie Guillaume Céline Maxime \
            Aurélie Clément Zoé Étienne Inès Rémi Noémie Gaël Agnès Loïc",
        family: "Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefèvre Leroy Roux \
            David Bertrand Morel Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Muller Faure André \
            Mercier Blanc Guérin Boyer Garnier Chevalier François Legrand Gauthier García Perrin",
        stems: "Beau Bois Bon Chant Clair Cour Font Grand Haut La Long Mal Mont Neuf Pont Quin Saint Val Vaux Ville \
            Bel Char Des Dou Mar",
        endings: "mont val court ville champ fort lieu pré roy bois fontaine bert gnac sac neau lier",
    },
    Language {
        share: 60, two_given: 10, two_families: false,
        given: "Giulia Marco Francesca Andrea Chiara Francesco Sara Alessandro Martina Luca Elena Matteo Anna Lorenzo \
            Valentina Davide Federica Giuseppe Silvia Antonio Laura Giovanni Alice Riccardo Sofia Simone Paola Stefano \
            Giorgia Roberto Ilaria Paolo Elisa Nicolò Beatrice Gabriele",
        family: "Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti De_Luca Costa \
            Giordano Mancini Rizzo Lombardi Moretti Barbieri Fontana Santoro Mariani Rinaldi Caruso Ferrara Galli \
            Martini Leone Longo Gentile Martinelli Vitale Lombardo Serra Coppola D'Angelo Marchetti Villa",
        stems: "Alb Bal Ben Bon Cal Cam Cap Car Cas Cer Cor Dam Fab Fil For Gar Giac Gran Lor Mal Mar Mol Mont Nan Pal \
            Pas Pel Per Pin Quar Sal San Sar Tom Val Ver Vol Zan",
        endings: "ini etti elli ucci acci ardi oni ati aro asso ese anti ieri ola otto uzzi",
    },
    Language {
        share: 55, two_given: 4, two_families: false,
        given: "Anna Piotr Katarzyna Krzysztof Maria Andrzej Agnieszka Tomasz Małgorzata Paweł Ewa Michał Joanna Jan \
            Barbara Marcin Magdalena Jakub Monika Adam Zofia Łukasz Aleksandra Mateusz Julia Grzegorz Natalia Wojciech \
            Karolina Rafał Beata Kamil Wiktoria Bartosz Hanna Szymon",
        family: "Nowak Kowalski Wiśniewski Wójcik Kowalczyk Kamiński Lewandowski Zieliński Szymański Woźniak Dąbrowski \
            Kozłowski Jankowski Mazur Wojciechowski Kwiatkowski Krawczyk Kaczmarek Piotrowski Grabowski Zając Pawłowski \
            Michalski Król Wieczorek Jabłoński Wróbel Nowakowski Majewski Olszewski Stępień Malinowski Jaworski Adamczyk",
        stems: "Bar Biel Bor Chmiel Czar Dom Gaj Gór Grab Jan Jas Kal Kar Kos Kras Lip Mal Mir Now Ol Ostr Pach Rad Rog \
            Ros Ryb Sad Sikor Sok Star Szcz Tom Urb Wil Wit Zab Zar Żur",
        endings: "owski ewski iński ecki czyk czak owicz ek icki arz ak ik",
    },
    Language {
        share: 50, two_given: 6, two_families: false,
        given: "Mehmet Fatma Mustafa Ayşe Ahmet Emine Ali Hatice Hüseyin Zeynep Hasan Elif İbrahim Meryem Yusuf Merve \
            Murat Esra Ömer Büşra Emre Zehra Burak Selin Can Deniz Ece Cem Gül Kaan Özge Barış Derya Onur",
        family: "Yılmaz Kaya Demir Çelik Şahin Yıldız Yıldırım Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan Çetin Kara \
            Koç Kurt Özkan Şimşek Polat Korkmaz Çakır Erdoğan Yavuz Can Acar Şen Aktaş Güler Yalçın Güneş Bozkurt Bulut",
        stems: "Ak Al Alp Ay Bal Boz Bul Can Çam Dal Demir Er Gök Gül Gün İn Kan Kara Kaya Koç Kor Öz Sarı Sert Taş Tun \
            Uç Ün Yal Yıl",
        endings: "soy demir oğlu kaya türk can taş alp han bay er gün lı maz tekin yurt kan",
    },
    Language {
        share: 75, two_given: 2, two_families: false,
        given: "Wei Fang Xiuying Na Min Jing Li Yan Lei Qiang Yong Jun Jie Juan Tao Chao Ming Ping Gang Hui Xin Yu Hao \
            Ting Bo Ling Peng Xia Hong Bin Ying Zhen Rui Yi Chen Hua Kai Mei Lan Zihan Yuxuan Haoran Xinyi Zixuan Mengyao",
        family: "Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo He Lin Gao Luo Zheng Liang Xie Song \
            Tang Deng Han Feng Cao Peng Zeng Xiao Tian Dong Pan Yuan Cai Jiang Yu Du Ye Cheng Wei Su Lu Ding Ren Shen",
        stems: "", endings: "",
    },
    Language {
        share: 60, two_given: 6, two_families: false,
        given: "Priya Rahul Anjali Amit Pooja Raj Neha Sanjay Divya Vijay Kavita Arjun Sunita Rohit Meera Suresh Lakshmi \
            Anil Deepa Ravi Aditi Vikram Nisha Karthik Shreya Manoj Swati Arun Isha Ganesh Ananya Nikhil Rekha Harish",
        family: "Kumar Sharma Singh Patel Gupta Reddy Das Rao Khan Nair Iyer Verma Joshi Mehta Shah Mishra Yadav Pillai \
            Menon Chopra Agarwal Banerjee Mukherjee Chatterjee Desai Bhat Kulkarni Naidu Jain Kapoor Malhotra Saxena \
            Srinivasan Subramanian Krishnan Ghosh Bose Sinha Trivedi Pandey",
        stems: "", endings: "",
    },
    Language {
        share: 35, two_given: 0, two_families: false,
        given: "Anh Linh Huong Minh Thu Nam Hoa Tuan Lan Hung Mai Dung Trang Long Thao Hai Phuong Son Nga Quang Ha Khanh \
            Yen Duc Ngoc Hieu",
        family: "Nguyen Tran Le Pham Hoang Phan Vu Dang Bui Do Ho Ngo Duong Ly Vo Dinh Trinh Truong",
        stems: "", endings: "",
    },
    Language {
        share: 45, two_given: 14, two_families: false,
        given: "Anna Lars Ingrid Erik Maria Anders Karin Johan Emma Per Kristina Nils Sofia Magnus Ida Henrik Astrid \
            Mikael Freja Søren Maja Jens Sigrid Bjørn Ola Åsa Håkan Linnéa Øyvind Solveig Mads Signe Rasmus Elin Ørjan",
        family: "Hansen Johansson Andersson Nielsen Karlsson Jensen Nilsson Olsen Larsen Eriksson Pedersen Berg Persson \
            Christensen Svensson Haugen Gustafsson Rasmussen Pettersson Jørgensen Jonsson Madsen Lindberg Dahl Lindström \
            Lund Sørensen Bakken Sjöberg Møller Åkesson Ødegård Holm",
        stems: "Al Ek Berg Björk Blom Bo Dal Ed Eng Fors Grön Hag Hed Hol Hög Kron Lin Lund Ljung Mo Nor Ny Ros Sand \
            Skog Ståhl Sten Ström Sund Söder Vik Väster Öst",
        endings: "berg ström qvist gren lund holm stad man mark dahl vik blad bo haug",
    },
    Language {
        share: 35, two_given: 25, two_families: true,
        given: "Maria João Ana Pedro Beatriz Tiago Inês Miguel Mariana Rui Sofia Gonçalo Leonor Diogo Carolina Francisco \
            Joana Rafael Catarina Bruno Rita Luís Marta André Sara Paulo Helena Conceição",
        family: "Silva Santos Ferreira Pereira Oliveira Costa Rodrigues Martins Sousa Fernandes Gonçalves Gomes Lopes \
            Marques Alves Almeida Ribeiro Pinto Carvalho Teixeira Moreira Correia Mendes Nunes Soares Vieira Monteiro \
            Cardoso Rocha Neves Coelho Cruz Araújo Magalhães",
        stems: "", endings: "",
    },
    Language {
        share: 15, two_given: 0, two_families: false,
        given: "Анна=Anna Александр=Aleksandr Мария=Maria Дмитрий=Dmitri Елена=Elena Сергей=Sergei Ольга=Olga \
            Андрей=Andrei Наталья=Natalia Иван=Ivan Екатерина=Ekaterina Алексей=Aleksei Татьяна=Tatiana",
        family: "Иванов=Ivanov Смирнов=Smirnov Кузнецов=Kuznetsov Попов=Popov Васильев=Vasiliev Петров=Petrov \
            Соколов=Sokolov Михайлов=Mikhailov Новиков=Novikov Фёдоров=Fedorov Морозов=Morozov Волков=Volkov",
        stems: "", endings: "",
    },
    Language {
        share: 10, two_given: 0, two_families: false,
        given: "伟=Wei 芳=Fang 娜=Na 敏=Min 静=Jing 磊=Lei 洋=Yang 艳=Yan 勇=Yong 杰=Jie 秀英=Xiuying 明=Ming",
        family: "王=Wang 李=Li 张=Zhang 刘=Liu 陈=Chen 杨=Yang 黄=Huang 赵=Zhao 周=Zhou 吴=Wu 徐=Xu 孙=Sun",
        stems: "", endings: "",
    },
];

/// The tables, split once.
pub struct Names(Vec<Tables>);

struct Tables {
    given: Vec<&'static str>,
    family: Vec<&'static str>,
    stems: Vec<&'static str>,
    endings: Vec<&'static str>,
}

impl Names {
    pub fn new() -> Self {
        let split = |text: &'static str| text.split_whitespace().collect();
        let tables = LANGUAGES.iter().map(|language| Tables {
            given: split(language.given),
            family: split(language.family),
            stems: split(language.stems),
            endings: split(language.endings),
        });
        Self(tables.collect())
    }

    pub fn draw(&self, dice: &mut Dice) -> Name {
        let place = self.language(dice);
        let (language, tables) = (&LANGUAGES[place], &self.0[place]);
        let (mut first, latin_first) = forms(tables.given[dice.ranked(tables.given.len())]);
        if dice.percent(language.two_given) {
            let second = tables.given[dice.ranked(tables.given.len())];
            if second != first {
                first = format!("{first} {second}");
            }
        }
        let (mut last, mut latin_last) = if !tables.stems.is_empty() && dice.percent(RARE) {
            let stem = tables.stems[dice.below(tables.stems.len())];
            let ending = tables.endings[dice.below(tables.endings.len())];
            let last = format!("{stem}{ending}");
            (last.clone(), last)
        } else {
            forms(tables.family[dice.ranked(tables.family.len())])
        };
        if language.two_families {
            let (second, _) = forms(tables.family[dice.ranked(tables.family.len())]);
            last = format!("{last} {second}");
        }
        // A double name now and then, as marriages make them.
        if dice.percent(2) && !language.two_families {
            let (second, latin) = forms(tables.family[dice.ranked(tables.family.len())]);
            last = format!("{last}-{second}");
            latin_last = format!("{latin_last}-{latin}");
        }
        Name { first, last, latin_first: for_address(&latin_first), latin_last: for_address(&latin_last) }
    }

    fn language(&self, dice: &mut Dice) -> usize {
        let mut left = dice.number(LANGUAGES.iter().map(|language| language.share).sum());
        let mut place = 0;
        while left >= LANGUAGES[place].share && place + 1 < self.0.len() {
            left -= LANGUAGES[place].share;
            place += 1;
        }
        place
    }
}

/// A name of the tables, as it is written and in Latin letters.
fn forms(entry: &str) -> (String, String) {
    let (written, latin) = entry.split_once('=').unwrap_or((entry, entry));
    (written.replace('_', " "), latin.replace('_', ""))
}

/// Lower case and without accents, as people write their names in addresses.
fn for_address(name: &str) -> String {
    let mut address = String::new();
    for c in name.to_lowercase().nfd() {
        match c {
            'ß' => address.push_str("ss"),
            'ł' => address.push('l'),
            'ø' => address.push('o'),
            'ı' => address.push('i'),
            'a'..='z' | '-' => address.push(c),
            _ => {}
        }
    }
    address
}
